"""Decoupled knowledge distillation (Zhao et al., 2022)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UsageError
from ..registry import MODELS
from .pair import full_precision


@full_precision
def decoupled_kd(
    logits: Tensor, target: Tensor, gt_labels: Tensor, alpha: float = 1.0, beta: float = 8.0, tau: float = 4.0
) -> Tensor:
    r"""Divergence of softened predictions, split into the label against the rest, and the rest among themselves.

    .. math::
        L = \tau^2 \big[ \alpha \, \mathrm{KL}(b^t \,\|\, b^s) + \beta \, \mathrm{KL}(\hat p^t \,\|\, \hat p^s) \big],
        \qquad b = (p_y, 1 - p_y), \quad p = \mathrm{softmax}(z / \tau)

    averaged over the batch, with :math:`\hat p` the softmax over all classes but the label :math:`y`. Everything is
    computed from logarithms: :math:`\log p_y = \log \sigma(m)` for the margin
    :math:`m = z_y / \tau - \log \sum_{k \ne y} e^{z_k / \tau}`, so a saturated student has a finite loss.

    Args:
        logits (Tensor): :math:`z^s`, the student's logits, shape (N, K).
        target (Tensor): :math:`z^t`, the teacher's, shape (N, K); they get no gradient.
        gt_labels (Tensor): :math:`y`, integers, shape (N,).
        alpha (float): Weight of the label against the rest. Defaults to 1.
        beta (float): Weight of the rest among themselves. Defaults to 8.
        tau (float): Temperature, larger than 0. Defaults to 4.

    Returns:
        Tensor: A scalar.

    Raises:
        UsageError: If the shapes do not fit, or there is only one class.

    Example:
        >>> z, y = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([0])
        >>> decoupled_kd(torch.zeros(1, 3), z, y, tau=1.0)
        tensor(0.4330)
    """
    _check(logits, target, gt_labels)
    margin_s, others_s = _decouple(logits / tau, gt_labels)
    margin_t, others_t = _decouple(target.detach() / tau, gt_labels)
    label = sum(
        F.logsigmoid(sign * margin_t).exp() * (F.logsigmoid(sign * margin_t) - F.logsigmoid(sign * margin_s))
        for sign in (1, -1)
    )
    rest = F.kl_div(others_s, others_t, reduction='none', log_target=True).sum(1)
    return tau**2 * (alpha * label + beta * rest).mean()


def _decouple(z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Log-odds of the label, (N,), and the log-probabilities of the other classes among themselves, (N, K - 1)."""
    columns = torch.arange(z.shape[1] - 1, device=z.device).expand(len(z), -1)
    others = z.gather(1, columns + (columns >= labels[:, None]))
    margin = z.gather(1, labels[:, None]).squeeze(1) - others.logsumexp(1)
    return margin, others.log_softmax(1)


def _check(logits: Tensor, target: Tensor, labels: Tensor) -> None:
    if logits.shape != target.shape:
        raise UsageError(
            f'DKDLoss: the logits have shape {tuple(logits.shape)} and the target {tuple(target.shape)}: '
            'the two networks need the same number of classes.'
        )
    if logits.dim() != 2 or logits.shape[1] < 2 or labels.shape != logits.shape[:1]:
        raise UsageError(
            f'DKDLoss: the logits have shape {tuple(logits.shape)} and gt_labels {tuple(labels.shape)}, '
            'but they must be (N, K) with at least two classes, and (N,).'
        )


@MODELS.register_module()
class DKDLoss(nn.Module):
    """Module of :func:`decoupled_kd`.

    Args:
        alpha (float): Weight of the label against the rest. Defaults to 1.
        beta (float): Weight of the rest among themselves. Defaults to 8.
        tau (float): Temperature, larger than 0. Defaults to 4.
        loss_weight (float): Factor. Defaults to 1.

    Raises:
        UsageError: If ``tau`` is not a positive number.
    """

    def __init__(self, alpha: float = 1.0, beta: float = 8.0, tau: float = 4.0, loss_weight: float = 1.0) -> None:
        super().__init__()
        if not tau > 0:
            raise UsageError(f'tau is {tau}, but a temperature must be larger than 0.')
        self.alpha, self.beta, self.tau, self.loss_weight = alpha, beta, tau, loss_weight

    def forward(self, logits: Tensor, target: Tensor, gt_labels: Tensor) -> Tensor:
        """Evaluate :func:`decoupled_kd` on logits (N, K) and labels (N,)."""
        return self.loss_weight * decoupled_kd(logits, target, gt_labels, self.alpha, self.beta, self.tau)
