"""Layers of a shadow's own before its head (SHAKE's `stronger head`)."""

from typing import Any

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from shake_mm.registry import MODELS


@MODELS.register_module()
class ShadowNeck(BaseModule):
    """Convolutions with BatchNorm and ReLU on the last of a backbone's maps, and the global mean (main paper, Table 5).

    The paper does not say what its stronger shadow head consists of; this is what a residual block without the shortcut
    adds.

    Args:
        in_channels (int): Channels of the map. In a :class:`~shake_mm.proxies.ShadowHead` the distiller fills them in.
        num_convs (int): 3x3 convolutions, which keep the channels. Defaults to 2.
        init_cfg (dict, optional): Initialization. Defaults to Kaiming's for convolutions.

    Shape:
        - Input: :math:`(N, C, H, W)`, the last of a tuple of maps
        - Output: :math:`(N, C)`, in a tuple
    """

    def __init__(self, in_channels: int, num_convs: int = 2, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg or {'type': 'Kaiming', 'layer': 'Conv2d'})
        layers = [ConvModule(in_channels, in_channels, 3, padding=1, norm_cfg={'type': 'BN'}) for _ in range(num_convs)]
        self.convs = nn.Sequential(*layers)

    def forward(self, maps: Any) -> tuple[Tensor]:
        """Convolve and pool the features."""
        last = maps[-1] if isinstance(maps, (tuple, list)) else maps
        return (self.convs(last).mean(dim=(2, 3)),)
