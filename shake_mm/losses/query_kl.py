"""Divergence of the classes that two DETRs predict of the same queries (KD-DETR; Wang et al., CVPR 2024)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import UsageError
from ..registry import MODELS
from .pair import full_precision, in_full_precision
from .queries import QueryLoss, paired


@full_precision
def query_kl(logits: Tensor, target: Tensor, weight: Tensor, tau: float = 10.0) -> Tensor:
    r"""Weighted sum over queries of the divergence of softened classes.

    .. math::
        L = \tau^2 \sum_i w_i \, \mathrm{KL}\big(\mathrm{softmax}(t_i / \tau) \,\|\, \mathrm{softmax}(s_i / \tau)\big)

    Args:
        logits (Tensor): :math:`s`, the student's, shape (N, Q, K).
        target (Tensor): :math:`t`, the teacher's of the same queries; it gets no gradient.
        weight (Tensor): :math:`w`, shape (N, Q).
        tau (float): Temperature. Defaults to 10.

    Returns:
        Tensor: A scalar.

    Example:
        >>> query_kl(torch.zeros(1, 1, 2), torch.tensor([[[9.0, -9.0]]]), torch.ones(1, 1), tau=1.0)  # log 2, nearly
        tensor(0.6931)
    """
    log_p, log_q = (torch.log_softmax(x / tau, dim=-1) for x in (logits, target.detach()))
    return tau**2 * (weight * (log_q.exp() * (log_q - log_p)).sum(-1)).sum()


@MODELS.register_module()
class QueryKLLoss(QueryLoss):
    r""":func:`query_kl` of all layers of the student's decoder, queries weighed by the teacher's confidence.

    :math:`w_i = \max_c p_c(r_i)` over the classes, of the reference's last layer (or that of the same number), is the
    paper's foreground rebalance weight; the sum over queries is divided by the sum of these weights.

    Args:
        tau (float): Temperature. Defaults to 10, as in the authors' code.
        activation (str): What makes probabilities of the logits, for the weights: ``'sigmoid'``, or ``'softmax'`` with
            the background last. Defaults to ``'sigmoid'``.
        layers (str): What each layer of the student's is compared with: the teacher's ``'last'``, as in the authors'
            code, or that of the ``'same'`` number. Defaults to ``'last'``.
        normalize (str): ``'weights'``, or ``'sum'`` for the sum over queries. Defaults to ``'weights'``.
        loss_weight (float): Factor. Defaults to 1.

    Raises:
        UsageError: If an argument is none of those that it may be.
    """

    def __init__(
        self,
        tau: float = 10.0,
        activation: str = 'sigmoid',
        layers: str = 'last',
        normalize: str = 'weights',
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(activation, layers, normalize, loss_weight)
        if not tau > 0:
            raise UsageError(f'QueryKLLoss: tau={tau}, but a temperature must be larger than 0.')
        self.tau = tau

    def forward(
        self, logits: Sequence[Tensor], target: Sequence[Tensor], reference: Sequence[Tensor] | None = None
    ) -> Tensor:
        """Evaluate the loss.

        Args:
            logits (Sequence[Tensor]): The student's (N, Q, K), by layer.
            target (Sequence[Tensor]): The teacher's, of the same queries.
            reference (Sequence[Tensor], optional): Logits that weigh the queries. Defaults to the target.

        Returns:
            Tensor: A scalar, the sum over layers.

        Raises:
            UsageError: If the shapes do not belong together.
        """
        return in_full_precision(self._evaluate, logits, target, target if reference is None else reference)

    def _evaluate(self, logits: Sequence[Tensor], target: Sequence[Tensor], seen: Sequence[Tensor]) -> Tensor:
        pairs = paired(type(self).__name__, logits, target, self.layers)
        terms = [query_kl(logits[i], target[k], self.weights(seen[k]), self.tau) for i, k in pairs]
        return self.loss_weight * torch.stack(terms).sum()
