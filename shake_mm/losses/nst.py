"""Neuron selectivity transfer (Huang and Wang, 2017) with the polynomial kernel."""

from torch import Tensor, nn
from torch.nn import functional as F

from ..registry import MODELS
from .pair import full_precision, matched_maps


@full_precision
def neuron_selectivity(feature: Tensor, target: Tensor) -> Tensor:
    r"""Maximum mean discrepancy of the channels of two maps, seen as samples of what neurons react to.

    .. math::
        L(s, t) = \frac{1}{N} \sum_n \Big[ \operatorname{mean}_{ij} k(t_i, t_j) + \operatorname{mean}_{ij} k(s_i, s_j)
            - 2 \operatorname{mean}_{ij} k(s_i, t_j) \Big], \qquad k(x, y) = \langle x, y \rangle^2

    over the channels :math:`s_i, t_j` of sample :math:`n`, flattened and of unit length. The larger map is pooled to
    the smaller's size. Since :math:`\operatorname{mean}_{ij} \langle x_i, y_j \rangle^2 = \langle A_x, A_y \rangle`
    with :math:`A_x = \frac{1}{C_x} \sum_i x_i x_i^\top`, the sum is also :math:`\lVert A_s - A_t \rVert_F^2`; whichever
    of the two takes fewer operations is computed.

    Args:
        feature (Tensor): :math:`s`, the student's map, shape (N, C_s, H_s, W_s).
        target (Tensor): :math:`t`, the teacher's, shape (N, C_t, H_t, W_t); it gets no gradient.

    Returns:
        Tensor: A scalar.

    Raises:
        UsageError: If they are not maps of the same batch.

    Example:
        >>> neuron_selectivity(torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([[[[0.0, 2.0]]]]))
        tensor(2.)
    """
    feature, target = matched_maps('NSTLoss', feature, target.detach())
    s, t = (F.normalize(x.flatten(2), dim=2) for x in (feature, target))
    (n, c_s, size), c_t = s.shape, t.shape[1]
    if size * (c_s + c_t) <= c_s**2 + c_s * c_t + c_t**2:
        return (s.mT @ s / c_s - t.mT @ t / c_t).square().sum() / n
    return _mean_kernel(t, t) + _mean_kernel(s, s) - 2 * _mean_kernel(s, t)


def _mean_kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.mT).square().mean()


@MODELS.register_module()
class NSTLoss(nn.Module):
    """Module of :func:`neuron_selectivity`.

    Args:
        loss_weight (float): Factor. Defaults to 1.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, feature: Tensor, target: Tensor) -> Tensor:
        """Evaluate :func:`neuron_selectivity` on maps (N, C, H, W)."""
        return self.loss_weight * neuron_selectivity(feature, target)
