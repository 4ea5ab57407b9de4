"""The networks of factor transfer (Kim et al., 2018), as the CRD benchmark builds them."""

from collections.abc import Sequence

from torch import nn

from ..errors import UsageError
from ..registry import MODELS

SLOPE = 0.1


def _layers(convolution: type[nn.Module], channels: Sequence[int], batch_norm: bool) -> list[nn.Module]:
    """3x3 convolutions that keep the size, each with an optional batch norm and a LeakyReLU."""
    layers: list[nn.Module] = []
    for c_in, c_out in zip(channels, channels[1:]):
        layers.append(convolution(c_in, c_out, kernel_size=3, padding=1))
        if batch_norm:
            layers.append(nn.BatchNorm2d(c_out))
        layers.append(nn.LeakyReLU(SLOPE))
    return layers


@MODELS.register_module()
class ParaphraserEncoder(nn.Sequential):
    r"""Half of the paraphraser: from the teacher's map to its factor, which has fewer channels.

    Args:
        in_channels (int): Channels of the teacher's map.
        ratio (float): Channels of the factor over those of the map, rounded down. Defaults to 0.5.
        batch_norm (bool): Whether a batch norm follows each convolution. Defaults to False.

    Shape:
        - Input: :math:`(N, C, H, W)`
        - Output: :math:`(N, \lfloor ratio \cdot C \rfloor, H, W)`

    Raises:
        UsageError: If the factor would have no channels.

    Example:
        >>> ParaphraserEncoder(64)(torch.rand(2, 64, 8, 8)).shape
        torch.Size([2, 32, 8, 8])
    """

    def __init__(self, in_channels: int, ratio: float = 0.5, batch_norm: bool = False) -> None:
        out_channels = int(in_channels * ratio)
        if out_channels < 1:
            raise UsageError(f'ratio={ratio} of ParaphraserEncoder leaves none of {in_channels} channels: raise it.')
        super().__init__(*_layers(nn.Conv2d, (in_channels, in_channels, out_channels, out_channels), batch_norm))


@MODELS.register_module()
class ParaphraserDecoder(nn.Sequential):
    """The other half: from a factor back to the teacher's map, with transposed convolutions.

    Args:
        in_channels (int): Channels of the factor.
        out_channels (int): Channels of the teacher's map.
        batch_norm (bool): Whether a batch norm follows each convolution. Defaults to False.

    Shape:
        - Input: :math:`(N, C_{in}, H, W)`
        - Output: :math:`(N, C_{out}, H, W)`

    Example:
        >>> ParaphraserDecoder(32, 64)(torch.rand(2, 32, 8, 8)).shape
        torch.Size([2, 64, 8, 8])
    """

    def __init__(self, in_channels: int, out_channels: int, batch_norm: bool = False) -> None:
        channels = (in_channels, in_channels, out_channels, out_channels)
        super().__init__(*_layers(nn.ConvTranspose2d, channels, batch_norm))


@MODELS.register_module()
class Translator(nn.Sequential):
    """From the student's map to what is compared with the teacher's factor.

    Args:
        in_channels (int): Channels of the student's map.
        out_channels (int): Channels of the teacher's factor.
        batch_norm (bool): Whether a batch norm follows each convolution. Defaults to True.

    Shape:
        - Input: :math:`(N, C_{in}, H, W)`
        - Output: :math:`(N, C_{out}, H, W)`

    Example:
        >>> Translator(16, 32)(torch.rand(2, 16, 8, 8)).shape
        torch.Size([2, 32, 8, 8])
    """

    def __init__(self, in_channels: int, out_channels: int, batch_norm: bool = True) -> None:
        channels = (in_channels, in_channels, out_channels, out_channels)
        super().__init__(*_layers(nn.Conv2d, channels, batch_norm))
