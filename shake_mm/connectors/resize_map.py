"""A map brought to the size of another one."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UsageError
from ..registry import MODELS


@MODELS.register_module()
class ResizeMap(nn.Module):
    """Bilinear interpolation from the resolution of one tap to that of another, without parameters.

    What is kept is the ratio of the two sizes, so that images of any size may follow; equal sizes pass unchanged.

    Args:
        in_shape (Sequence[int]): (C, H, W) of the map that is read.
        out_shape (Sequence[int]): (C', H', W') of the map that it is compared with.
        align_corners (bool): Whether the centers of the corner pixels stay in place, as in the heads of mmsegmentation
            that say so. Defaults to False.

    Shape:
        - Input: :math:`(N, C, H, W)`
        - Output: :math:`(N, C, H', W')`

    Raises:
        UsageError: If the shapes are not those of maps.

    Example:
        >>> ResizeMap((5, 8, 8), (7, 16, 16))(torch.rand(2, 5, 10, 12)).shape
        torch.Size([2, 5, 20, 24])
    """

    def __init__(self, in_shape: Sequence[int], out_shape: Sequence[int], align_corners: bool = False) -> None:
        super().__init__()
        if len(in_shape) != 3 or len(out_shape) != 3:
            raise UsageError(
                f'ResizeMap: in_shape is {tuple(in_shape)} and out_shape {tuple(out_shape)}, but both must be '
                '(C, H, W): tap layers that make maps.'
            )
        self.sizes = tuple(zip(in_shape[1:], out_shape[1:]))
        self.align_corners = align_corners

    def forward(self, x: Tensor) -> Tensor:
        """Resize a map of shape (N, C, H, W)."""
        size = tuple(max(1, round(side * new / old)) for side, (old, new) in zip(x.shape[2:], self.sizes))
        if size == tuple(x.shape[2:]):
            return x
        return F.interpolate(x, size=size, mode='bilinear', align_corners=self.align_corners)
