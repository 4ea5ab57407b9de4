"""A map brought to the channels and the resolution of another one."""

from collections.abc import Sequence

from torch import Tensor, nn

from ..registry import MODELS
from .resize_map import ResizeMap


@MODELS.register_module()
class ProjectMap(nn.Module):
    """A 1x1 convolution to the target's channels, and bilinear interpolation to its resolution, whatever both are.

    Unlike :class:`ConvRegressor` it has no norm and no ReLU, so that its result can point anywhere, as features of
    transformers do.

    Args:
        in_shape (Sequence[int]): (C, H, W) of the map that is read.
        out_shape (Sequence[int]): (C', H', W') of the map that it is compared with.

    Shape:
        - Input: :math:`(N, C, H, W)`
        - Output: :math:`(N, C', H', W')`

    Raises:
        UsageError: If the shapes are not those of maps.

    Example:
        >>> ProjectMap((64, 7, 7), (384, 16, 16))(torch.rand(2, 64, 7, 7)).shape
        torch.Size([2, 384, 16, 16])
    """

    def __init__(self, in_shape: Sequence[int], out_shape: Sequence[int]) -> None:
        super().__init__()
        self.resize = ResizeMap(in_shape, out_shape)
        self.conv = nn.Conv2d(in_shape[0], out_shape[0], 1)

    def forward(self, x: Tensor) -> Tensor:
        """Project and resize a map of shape (N, C, H, W)."""
        return self.resize(self.conv(x))
