"""The regressor of FitNets and of activation boundaries, as the CRD benchmark builds it."""

from collections.abc import Sequence

from torch import Tensor, nn

from ..errors import UsageError
from ..registry import MODELS


@MODELS.register_module()
class ConvRegressor(nn.Module):
    """One convolution from a map's shape to another's, batch norm, and a ReLU.

    The sizes decide on the convolution: equal ones 1x1; half the size 3x3 with stride 2; double the size a transposed
    4x4 with stride 2; any other smaller size an unpadded kernel of 1 + difference.

    Args:
        in_shape (Sequence[int]): (C, H, W) of the map that is read.
        out_shape (Sequence[int]): (C, H, W) of the result.
        relu (bool): Whether a ReLU ends it: not where it regresses pre-activations. Defaults to True.
        keep_equal (bool): Whether a map that has the wanted shape already passes unchanged, without any layer. The
            benchmark does so for activation boundaries. Defaults to False.
        pointwise (bool): Whether the convolution is 1x1 without bias at any size, which the result keeps, as in the
            overhaul of feature distillation; losses that pool maps take it. Defaults to False.

    Shape:
        - Input: :math:`(N, C_{in}, H_{in}, W_{in})`
        - Output: :math:`(N, C_{out}, H_{out}, W_{out})`

    Raises:
        UsageError: If the shapes are not those of maps, or no convolution of these leads from one size to the other.

    Example:
        >>> ConvRegressor((16, 8, 8), (32, 4, 4))(torch.rand(2, 16, 8, 8)).shape
        torch.Size([2, 32, 4, 4])
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        out_shape: Sequence[int],
        relu: bool = True,
        keep_equal: bool = False,
        pointwise: bool = False,
    ) -> None:
        super().__init__()
        in_shape, out_shape = tuple(in_shape), tuple(out_shape)
        if len(in_shape) != 3 or len(out_shape) != 3:
            raise UsageError(
                f'ConvRegressor: in_shape is {in_shape} and out_shape {out_shape}, but both must be (C, H, W): '
                'tap layers before the pooling.'
            )
        layers = []
        if not (keep_equal and in_shape == out_shape):
            convolution = _pointwise(in_shape[0], out_shape[0]) if pointwise else _convolution(in_shape, out_shape)
            layers = [convolution, nn.BatchNorm2d(out_shape[0])]
            layers += [nn.ReLU()] if relu else []
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Regress a feature map of shape (N, C, H, W)."""
        return self.layers(x)


def _pointwise(in_channels: int, out_channels: int) -> nn.Module:
    """A 1x1 convolution without bias, normal with variance 2 over the channels out."""
    convolution = nn.Conv2d(in_channels, out_channels, 1, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode='fan_out', nonlinearity='relu')
    return convolution


def _convolution(in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> nn.Module:
    """The convolution that leads from one shape to the other."""
    channels, sizes = (in_shape[0], out_shape[0]), tuple(zip(in_shape[1:], out_shape[1:]))
    if all(s == 2 * t for s, t in sizes):
        return nn.Conv2d(*channels, kernel_size=3, stride=2, padding=1)
    if all(2 * s == t for s, t in sizes):
        return nn.ConvTranspose2d(*channels, kernel_size=4, stride=2, padding=1)
    if all(s >= t for s, t in sizes):
        return nn.Conv2d(*channels, kernel_size=tuple(1 + s - t for s, t in sizes))
    raise UsageError(
        f'ConvRegressor: no convolution leads from in_shape {in_shape} to out_shape {out_shape}: '
        'tap a layer of at least the size, or of exactly half of it.'
    )
