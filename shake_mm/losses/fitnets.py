"""Regression of hidden features (FitNets; Romero et al., 2015)."""

from torch import Tensor, nn
from torch.nn import functional as F

from ..registry import MODELS
from .pair import check_equal, full_precision


@full_precision
def feature_regression(feature: Tensor, target: Tensor) -> Tensor:
    r"""Mean squared error of a feature to a target of the same shape.

    .. math::
        L(s, t) = \frac{1}{|s|} \sum_i (s_i - t_i)^2

    Args:
        feature (Tensor): :math:`s`, the regressed feature of the student, any shape.
        target (Tensor): :math:`t`, the teacher's feature of the same shape; it gets no gradient.

    Returns:
        Tensor: A scalar.

    Raises:
        UsageError: If the shapes differ.

    Example:
        >>> feature_regression(torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, 0.0]]))
        tensor(5.)
    """
    check_equal('FitNetsLoss', feature, target)
    return F.mse_loss(feature, target.detach())


@MODELS.register_module(name=['FitNetsLoss', 'MSELoss'])
class FitNetsLoss(nn.Module):
    """Module of :func:`feature_regression`; its usual connector is a :class:`~shake_mm.connectors.ConvRegressor`.

    As ``MSELoss`` it compares logits (supplement, Table 2, `l2`).

    Args:
        loss_weight (float): Factor. Defaults to 1.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, feature: Tensor, target: Tensor) -> Tensor:
        """Evaluate :func:`feature_regression` on features of the same shape."""
        return self.loss_weight * feature_regression(feature, target)
