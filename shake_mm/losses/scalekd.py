"""Two views of the same features: all of them, and without what is the same everywhere (ScaleKD, NeurIPS 2024)."""

from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UsageError
from ..registry import MODELS
from .pair import check_equal, full_precision

VIEWS = ('spatial', 'frequency')


@full_precision
def feature_mimicking(feature: Tensor, target: Tensor, view: str = 'spatial', eps: float = 1e-4) -> Tensor:
    r"""Squared difference of two maps whose places have unit length, summed, mean over the batch.

    .. math::
        L = \frac{1}{N} \sum_{nhw} \Big\| \frac{s_{nhw}}{\|s_{nhw}\|} - \frac{t_{nhw}}{\|t_{nhw}\|} \Big\|^2

    In the view of ``'frequency'`` the direct component of either map's cosine transform, which dominates it, is taken
    out before: of each channel that is its mean over the places.

    Args:
        feature (Tensor): s, shape (N, C, H, W).
        target (Tensor): t, of the same shape; it gets no gradient.
        view (str): ``'spatial'`` or ``'frequency'``. Defaults to ``'spatial'``.
        eps (float): Smallest length: it bounds the gradient of a dead feature. Defaults to 1e-4.

    Returns:
        Tensor: A scalar.

    Raises:
        UsageError: If the shapes differ, or they are no maps.
    """
    check_equal('ScaleKDLoss', feature, target)
    if feature.dim() != 4:
        raise UsageError(f'ScaleKDLoss: it compares maps (N, C, H, W), not {tuple(feature.shape)}: tap a level.')
    sides = [feature, target.detach()]
    if view == 'frequency':
        sides = [x - x.mean((2, 3), keepdim=True) for x in sides]
    mine, its = (F.normalize(x, dim=1, eps=eps) for x in sides)
    return (mine - its).square().sum() / len(feature)


@MODELS.register_module()
class ScaleKDLoss(nn.Module):
    """Module of :func:`feature_mimicking`.

    Args:
        view (str): ``'spatial'`` or ``'frequency'``. Defaults to ``'spatial'``.
        loss_weight (float): Factor. Defaults to 1.

    Raises:
        UsageError: If the view is another.
    """

    def __init__(self, view: str = 'spatial', loss_weight: float = 1.0) -> None:
        super().__init__()
        if view not in VIEWS:
            raise UsageError(f"ScaleKDLoss: view='{view}', but it must be one of {VIEWS}.")
        self.view, self.loss_weight = view, loss_weight

    def forward(self, feature: Tensor, target: Tensor) -> Tensor:
        """Evaluate :func:`feature_mimicking` on maps (N, C, H, W)."""
        return self.loss_weight * feature_mimicking(feature, target, self.view)
