"""Attention transfer (Zagoruyko and Komodakis, 2017)."""

from torch import Tensor, nn
from torch.nn import functional as F

from ..registry import MODELS
from .pair import full_precision, matched_maps


def attention_map(feature: Tensor) -> Tensor:
    r"""Where a network looks: the channel mean of squares, flattened, of unit length.

    .. math::
        q(f) = \frac{a}{\lVert a \rVert_2}, \qquad a_{hw} = \frac{1}{C} \sum_c f_{chw}^2

    Args:
        feature (Tensor): :math:`f`, shape (N, C, H, W).

    Returns:
        Tensor: Shape (N, H * W).
    """
    return F.normalize(feature.square().mean(1).flatten(1))


@full_precision
def attention_transfer(feature: Tensor, target: Tensor) -> Tensor:
    r"""Mean squared difference of the attention maps of one level; the larger map is pooled to the smaller's size.

    .. math::
        L(s, t) = \frac{1}{N H W} \sum_{n, i} \big(q(s)_{ni} - q(t)_{ni}\big)^2

    Args:
        feature (Tensor): :math:`s`, the student's map, shape (N, C_s, H_s, W_s).
        target (Tensor): :math:`t`, the teacher's, shape (N, C_t, H_t, W_t); it gets no gradient.

    Returns:
        Tensor: A scalar.

    Raises:
        UsageError: If they are not maps of the same batch.

    Example:
        >>> s, t = torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([[[[0.0, 2.0]]]])
        >>> attention_transfer(s, t)
        tensor(1.)
    """
    feature, target = matched_maps('ATLoss', feature, target.detach())
    return F.mse_loss(attention_map(feature), attention_map(target))


@MODELS.register_module()
class ATLoss(nn.Module):
    """Module of :func:`attention_transfer`.

    Args:
        loss_weight (float): Factor. Defaults to 1.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, feature: Tensor, target: Tensor) -> Tensor:
        """Evaluate :func:`attention_transfer` on maps (N, C, H, W)."""
        return self.loss_weight * attention_transfer(feature, target)
