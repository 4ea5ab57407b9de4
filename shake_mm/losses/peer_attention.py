"""Distillation among diverse peers (OKDDip; Chen et al., AAAI 2020)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UsageError
from ..registry import MODELS
from .pair import full_precision, in_full_precision
from .queries import check_choice

AVERAGES = ('predictions', 'logits')


@full_precision
def peer_attention(
    logits: Sequence[Tensor],
    queries: Sequence[Tensor],
    keys: Sequence[Tensor],
    tau: float = 3.0,
    average: str = 'predictions',
) -> Tensor:
    r"""Divergence of each peer from a target of its own, which weighs all peers' predictions (Eqs. 3 to 6).

    .. math::
        L = \frac{\tau^2}{N} \sum_a \mathrm{KL}(t_a \,\|\, q_a), \qquad
        t_a = \sum_b \alpha_{ab} q_b, \quad
        \alpha_{ab} = \mathrm{softmax}_b \big( l_a^\top e_b \big), \quad q_b = \mathrm{softmax}(z_b / \tau)

    The authors' code averages logits, :math:`t_a = \mathrm{softmax}\big(\sum_b \alpha_{ab} z_b / \tau\big)`. What is
    averaged is stopped; the gradient of the weights reaches what makes queries and keys.

    Args:
        logits (Sequence[Tensor]): :math:`z_a` of each peer, shape (N, K).
        queries (Sequence[Tensor]): :math:`l_a`, shape (N, D).
        keys (Sequence[Tensor]): :math:`e_b`, shape (N, D).
        tau (float): Temperature, larger than 0. Defaults to 3.
        average (str): What a target weighs, ``'predictions'`` or ``'logits'``. Defaults to ``'predictions'``.

    Returns:
        Tensor: A scalar.
    """
    scores = torch.einsum('and,bnd->nab', torch.stack(list(queries)), torch.stack(list(keys)))
    softened = torch.stack(list(logits), dim=1) / tau
    log_q = softened.log_softmax(2)
    if average == 'logits':
        log_t = (scores.softmax(2) @ softened.detach()).log_softmax(2)
    else:  # log sum_b alpha_ab q_b, of which none is lost where a prediction is 0 in floating point
        log_t = torch.logsumexp(scores.log_softmax(2)[..., None] + log_q.detach()[:, None], dim=2)
    return tau**2 * F.kl_div(log_q, log_t, reduction='none', log_target=True).sum((1, 2)).mean()


@MODELS.register_module()
class PeerAttentionLoss(nn.Module):
    """Module of :func:`peer_attention`: linear maps without bias, common to all peers, make queries and keys.

    A term names in ``of`` the logits of all peers, then their pooled features in the same order, and has no ``to``.

    Args:
        in_channels (list[int]): Of all taps of ``of``; the distiller fills them in.
        factor (int): The features' channels over those of queries and keys. Defaults to 8.
        tau (float): Temperature, larger than 0. Defaults to 3.
        loss_weight (float): Factor. Defaults to 1.
        average (str): What a target weighs: ``'predictions'``, as in the paper, or ``'logits'``, as in its authors'
            code. Defaults to ``'predictions'``.

    Raises:
        UsageError: If it does not read as many features as logits, of two peers or more, ``tau`` is not positive, or
            ``average`` is unknown.
    """

    def __init__(
        self,
        in_channels: list,
        factor: int = 8,
        tau: float = 3.0,
        loss_weight: float = 1.0,
        average: str = 'predictions',
    ) -> None:
        super().__init__()
        if not isinstance(in_channels, (list, tuple)) or len(in_channels) < 4 or len(in_channels) % 2:
            raise UsageError(
                'PeerAttentionLoss: `of` must list the logits of two peers or more, then the features of each, e.g. '
                "['proxy0.logits', 'proxy1.logits', 'proxy0.network.neck', 'proxy1.network.neck']."
            )
        if not tau > 0:
            raise UsageError(f'PeerAttentionLoss: tau is {tau}, but a temperature must be larger than 0.')
        check_choice('PeerAttentionLoss', 'average', average, AVERAGES)
        channels = in_channels[-1]
        self.tau, self.average, self.loss_weight = tau, average, loss_weight
        self.query = nn.Linear(channels, max(1, channels // factor), bias=False)
        self.key = nn.Linear(channels, max(1, channels // factor), bias=False)

    def forward(self, values: Sequence[Tensor]) -> Tensor:
        """Evaluate :func:`peer_attention` on the logits (N, K) and the features (N, C) of all peers."""
        return self.loss_weight * in_full_precision(self._evaluate, list(values))

    def _evaluate(self, values: Sequence[Tensor]) -> Tensor:
        number = len(values) // 2
        logits, features = values[:number], values[number:]
        queries, keys = ([layer(x.flatten(1)) for x in features] for layer in (self.query, self.key))
        return peer_attention(logits, queries, keys, self.tau, self.average)
