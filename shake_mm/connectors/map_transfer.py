"""The transfer layer of adversarial feature distillation (Chung et al., ICML 2020)."""

from torch import nn

from ..registry import MODELS


@MODELS.register_module()
class MapTransfer(nn.Sequential):
    """A 3x3 convolution with batch norm and ReLU, which brings maps of several networks to as many channels.

    Args:
        in_channels (int): Channels of the map.
        out_channels (int): Channels of the result.

    Shape:
        - Input: :math:`(N, C_{in}, H, W)`
        - Output: :math:`(N, C_{out}, H, W)`

    Example:
        >>> MapTransfer(16, 32)(torch.rand(2, 16, 8, 8)).shape
        torch.Size([2, 32, 8, 8])
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU()
        )
