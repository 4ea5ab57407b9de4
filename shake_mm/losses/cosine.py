"""Cosine distance of features, place by place or token by token."""

from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UsageError
from ..registry import MODELS
from .pair import full_precision


@full_precision
def cosine(feature: Tensor, target: Tensor, eps: float = 1e-4) -> Tensor:
    r"""One minus the cosine of two features, a mean over images and places.

    .. math::
        L(a, b) = \frac{1}{N} \sum_i \Big(
        1 - \frac{\langle a_i, b_i \rangle}{\max(\|a_i\|, \epsilon) \max(\|b_i\|, \epsilon)}\Big)

    over the places :math:`i` of all images: the scale of features, which differs between networks and their channels of
    large norm, does not count. It is what students of DINOv2 and CLIP features are commonly taught by (such as
    AM-RADIO, Ranzinger et al., CVPR 2024). No gradient flows into the target.

    Args:
        feature (Tensor): :math:`a`, a map (N, C, H, W), tokens (N, L, C) or vectors (N, C).
        target (Tensor): :math:`b`, of the same shape.
        eps (float): Smallest norm: it bounds the gradient of a dead feature. Defaults to 1e-4.

    Returns:
        Tensor: A scalar, from 0 to 2.

    Raises:
        UsageError: If the shapes differ.

    Example:
        >>> cosine(torch.tensor([[1.0, 0.0]]), torch.tensor([[3.0, 3.0]]))
        tensor(0.2929)
    """
    if feature.shape != target.shape or feature.dim() not in (2, 3, 4):
        raise UsageError(
            f'CosineLoss: the feature has shape {tuple(feature.shape)} and the target {tuple(target.shape)}, but both '
            'must be maps, tokens or vectors of one shape: make a map of tokens by `to_connector=dict(type='
            "'TokenMap')`, and bring the student's to it by `connector=dict(type='ProjectMap')`."
        )
    dim = 2 if feature.dim() == 3 else 1
    return 1 - F.cosine_similarity(feature, target.detach(), dim=dim, eps=eps).mean()


@MODELS.register_module()
class CosineLoss(nn.Module):
    """Module of :func:`cosine`.

    Args:
        loss_weight (float): Factor. Defaults to 1.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, feature: Tensor, target: Tensor) -> Tensor:
        """Evaluate :func:`cosine` on maps (N, C, H, W), tokens (N, L, C) or vectors (N, C)."""
        return self.loss_weight * cosine(feature, target)
