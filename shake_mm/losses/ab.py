"""Distillation of activation boundaries (Heo et al., 2019)."""

from torch import Tensor, nn

from ..registry import MODELS
from .pair import check_equal, full_precision

SCALE = 3 / 1000
"""Factor of the authors' code, which the CRD benchmark keeps."""


@full_precision
def activation_boundary(feature: Tensor, target: Tensor, margin: float = 1.0) -> Tensor:
    r"""Penalty of pre-activations that are not, by a margin, on the target's side of zero; one level.

    .. math::
        L(s, t) = \frac{3}{1000 N} \sum_i
            \big[ (s_i + m)^2 \, 1(s_i > -m, t_i \le 0) + (s_i - m)^2 \, 1(s_i \le m, t_i > 0) \big]

    Args:
        feature (Tensor): :math:`s`, the student's pre-activations, shape (N, ...).
        target (Tensor): :math:`t`, the teacher's, of the same shape; they get no gradient.
        margin (float): :math:`m`. Defaults to 1.

    Returns:
        Tensor: A scalar.

    Raises:
        UsageError: If the shapes differ.

    Example:
        >>> activation_boundary(torch.tensor([[0.5, -2.0]]), torch.tensor([[-1.0, 1.0]]))
        tensor(0.0338)
    """
    check_equal('ABLoss', feature, target)
    off = (feature + margin).clamp(min=0)
    on = (margin - feature).clamp(min=0)
    return on.where(target.detach() > 0, off).square().sum() * (SCALE / len(feature))


@MODELS.register_module()
class ABLoss(nn.Module):
    """Module of :func:`activation_boundary`.

    Its usual connector is a :class:`~shake_mm.connectors.ConvRegressor` without ReLU.

    Args:
        margin (float): The wanted distance to zero. Defaults to 1.
        loss_weight (float): Factor. Defaults to 1.
    """

    def __init__(self, margin: float = 1.0, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.margin, self.loss_weight = margin, loss_weight

    def forward(self, feature: Tensor, target: Tensor) -> Tensor:
        """Evaluate :func:`activation_boundary` on pre-activations of the same shape."""
        return self.loss_weight * activation_boundary(feature, target, self.margin)
