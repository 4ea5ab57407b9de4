"""The hierarchical context loss of knowledge review (Chen et al., 2021)."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UsageError
from ..registry import MODELS
from .pair import full_precision

POOLED = (4, 2, 1)
"""Heights and widths to which a level is pooled, where they are smaller than it."""


def hcl(features: Tensor | Sequence[Tensor], targets: Tensor | Sequence[Tensor]) -> Tensor:
    r"""Mean squared error at full size and of adaptive average pools, a weighted mean over sizes, summed over levels.

    .. math::
        L(s, t) = \sum_l \frac{1}{\sum_{k=0}^{K_l} 2^{-k}} \sum_{k=0}^{K_l} 2^{-k} \,
            \mathrm{MSE}\big(P_k(s_l), P_k(t_l)\big)

    :math:`P_0` keeps a level as it is; :math:`P_1, \dots, P_{K_l}` pool it to those of 4x4, 2x2 and 1x1 that are
    smaller than its shorter side. (The authors' code compares with the height alone: the same for maps that are square
    or wider than high.)

    Args:
        features (Tensor | Sequence[Tensor]): :math:`s_l`, maps (N, C, H, W) or vectors (N, C), which count as 1x1 maps.
        targets (Tensor | Sequence[Tensor]): :math:`t_l`, as many, of the same shapes; they get no gradient.

    Returns:
        Tensor: A scalar.

    Raises:
        UsageError: If there are not as many targets as features, or shapes differ.

    Example:
        >>> s, t = torch.tensor([[[[2.0, 0.0], [0.0, 0.0]]]]), torch.zeros(1, 1, 2, 2)
        >>> hcl([s], [t])  # (1 + 0.25 / 2) / (1 + 1 / 2)
        tensor(0.7500)
    """
    features, targets = ([x] if isinstance(x, Tensor) else list(x) for x in (features, targets))
    if not features or len(features) != len(targets):
        raise UsageError(
            f'HCLLoss: the number of features is {len(features)} and that of targets {len(targets)}, but each level '
            'needs both: name as many taps in `of` as in `to`.'
        )
    return sum(_level(*pair) for pair in zip(features, targets))


@full_precision
def _level(feature: Tensor, target: Tensor) -> Tensor:
    """The summand of one level."""
    s, t = (x[:, :, None, None] if x.dim() == 2 else x for x in (feature, target.detach()))
    if s.dim() != 4 or s.shape != t.shape:
        raise UsageError(
            f'HCLLoss: a feature has shape {tuple(feature.shape)} and its target {tuple(target.shape)}, but both must '
            "be equal, (N, C, H, W) or (N, C): give the term `connector=dict(type='ReviewFusion')`."
        )
    difference = s - t  # pooling is linear: pools of the difference are differences of the pools
    loss, weight, total = difference.square().mean(), 1.0, 1.0
    for size in POOLED:
        if size < min(s.shape[2:]):
            weight /= 2
            loss = loss + weight * F.adaptive_avg_pool2d(difference, size).square().mean()
            total += weight
    return loss / total


@MODELS.register_module()
class HCLLoss(nn.Module):
    """Module of :func:`hcl`; its usual connector is a :class:`~shake_mm.connectors.ReviewFusion`.

    Args:
        loss_weight (float): Factor. Defaults to 1.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, feature: Tensor | Sequence[Tensor], target: Tensor | Sequence[Tensor]) -> Tensor:
        """Evaluate :func:`hcl` on one level, or on lists of levels."""
        return self.loss_weight * hcl(feature, target)
