"""The overhaul of feature distillation (Heo et al., ICCV 2019): a partial squared distance before the ReLU."""

from torch import Tensor, nn

from ..registry import MODELS
from .pair import full_precision, matched_maps


@full_precision
def partial_l2(feature: Tensor, target: Tensor) -> Tensor:
    r"""Squared distance that lets the student be where both are silenced by a ReLU; one level.

    .. math::
        L(s, t) = \frac{1}{N} \sum_i \begin{cases} 0 & s_i \le t_i \le 0 \\ (t_i - s_i)^2 & \text{else} \end{cases}

    The target has gone through a :class:`~shake_mm.connectors.MarginReLU`. If the sizes of the maps differ, the larger
    is pooled first.

    Args:
        feature (Tensor): :math:`s`, the student's pre-activations, shape (N, C, H, W).
        target (Tensor): :math:`t`, the teacher's, shape (N, C, ., .); they get no gradient.

    Returns:
        Tensor: A scalar.

    Raises:
        UsageError: If they are not maps, or their channels differ.

    Example:
        >>> s, t = torch.tensor([-2.0, -0.5, 1.0]), torch.tensor([-1.0, -1.0, 3.0])
        >>> partial_l2(s.view(1, 3, 1, 1), t.view(1, 3, 1, 1))
        tensor(4.2500)
    """
    feature, target = matched_maps('OFDLoss', feature, target.detach(), same_channels=True)
    distance = (feature - target).square()
    return distance.where((feature > target) | (target > 0), 0).sum() / len(feature)


@MODELS.register_module()
class OFDLoss(nn.Module):
    """Module of :func:`partial_l2`.

    Its usual connectors are a :class:`~shake_mm.connectors.ConvRegressor` without ReLU and, for the target, a
    :class:`~shake_mm.connectors.MarginReLU`.

    Args:
        loss_weight (float): Factor. Defaults to 1.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, feature: Tensor, target: Tensor) -> Tensor:
        """Evaluate :func:`partial_l2` on maps of as many channels."""
        return self.loss_weight * partial_l2(feature, target)
