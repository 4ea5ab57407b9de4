"""Quality focal loss to another detector's scores, as CrossKD (Wang et al., CVPR 2024) compares classes."""

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import UsageError
from ..registry import MODELS
from .pair import full_precision
from .places import Places, PriorLoss


@full_precision
def soft_quality_focal(logits: Tensor, target: Tensor, weight: Tensor, beta: float = 1.0) -> Tensor:
    r"""Sum of the quality focal loss (Li et al., 2020, Eq. 5) whose labels are another network's scores.

    .. math::
        L = \sum_{pc} v_p \, |\sigma(b_{pc}) - \sigma(a_{pc})|^\beta \;
            \mathrm{BCE}\big(\sigma(a_{pc}), \sigma(b_{pc})\big)

    Args:
        logits (Tensor): :math:`a`, shape (N, P, C) of P priors.
        target (Tensor): :math:`b`, of the same shape; it gets no gradient.
        weight (Tensor): :math:`v`, shape (N, P).
        beta (float): Power of the difference. Defaults to 1.

    Returns:
        Tensor: A scalar.

    Example:
        >>> soft_quality_focal(torch.zeros(1, 1, 1), torch.full((1, 1, 1), 30.0), torch.ones(1, 1))  # 0.5 log 2
        tensor(0.3466)
    """
    scores = target.detach().sigmoid()
    focus = (logits.sigmoid() - scores).abs() ** beta
    entropy = F.binary_cross_entropy_with_logits(logits, scores, reduction='none')
    return (weight[..., None] * focus * entropy).sum()


@MODELS.register_module()
class SoftQualityFocalLoss(PriorLoss):
    """:func:`soft_quality_focal` of all levels, divided by the number of positive priors.

    Args:
        beta (float): Power of the difference, at least 1. Defaults to 1.
        loss_weight (float): Factor. Defaults to 1.

    Raises:
        UsageError: If the power is less than 1.
    """

    def __init__(self, beta: float = 1.0, loss_weight: float = 1.0) -> None:
        super().__init__()
        if beta < 1:
            raise UsageError(f'SoftQualityFocalLoss: beta={beta}, but below 1 gradients are not finite: use 1 or more.')
        self.beta, self.loss_weight = beta, loss_weight

    def of_rows(self, logits: Tensor, target: Tensor, places: Places) -> Tensor:
        """The loss of rows (N, P, C) of all levels."""
        weight = torch.cat(places.weight, dim=1)
        return self.loss_weight * soft_quality_focal(logits, target, weight, self.beta) / places.number
