"""The bottleneck ResNets of the CRD benchmark (ResNet-50) and of OKDDip (WRN-20-8), for images of about 32x32."""

from collections.abc import Sequence

from torch import Tensor, nn

from shake_mm.errors import UsageError
from shake_mm.registry import MODELS

from .staged import BENCHMARK_INIT, StagedBackbone, join_stage

EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut; the ReLU after the sum is left out at the end of a stage.

    Args:
        in_channels: Channels of the input.
        inner_channels: Channels of the 3x3 convolution.
        out_channels: Channels of the output.
        stride: Stride of the 3x3 convolution and of the shortcut.
        last: Whether the block ends its stage, which then applies the ReLU itself.

    Shape:
        - Input: :math:`(N, C_{in}, H, W)`
        - Output: :math:`(N, C_{out}, H / stride, W / stride)`
    """

    def __init__(self, in_channels: int, inner_channels: int, out_channels: int, stride: int, last: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, inner_channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner_channels)
        self.conv2 = nn.Conv2d(inner_channels, inner_channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner_channels)
        self.conv3 = nn.Conv2d(inner_channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU()
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        """Return the residual sum, rectified unless the stage does that itself."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out)) + self.shortcut(x)
        return out if self.last else self.relu(out)


@MODELS.register_module()
class CRDResNetV2(StagedBackbone):
    r"""Bottleneck ResNet with a 3x3 stem of stride 1; the defaults are the CRD benchmark's ``ResNet50``.

    Parameters are named and initialized as there. A stage of width :math:`w` has :math:`4w` output channels and
    :math:`w \cdot \mathrm{widen\_factor}` channels in its 3x3 convolutions. With three stages, widths 16, 32, 64, two
    blocks each and a factor of 8 this is the "WRN-20-8" of OKDDip (Chen et al., AAAI 2020), which is no
    :class:`CRDWideResNet`: that family's depths are :math:`6n + 4`.

    Args:
        blocks: Blocks of each stage. Defaults to ``(3, 4, 6, 3)``.
        widths: Width of the stem and of each stage. Defaults to ``(64, 64, 128, 256, 512)``.
        widen_factor: Factor of the 3x3 convolutions' channels. Defaults to 1.
        out_indices: Stages whose features are returned, counted from 0. Defaults to the last one.
        init_cfg: Initialization. Defaults to the benchmark's.
        in_channels: Channels of the images, 1 for gray ones. Defaults to 3.

    Shape:
        - Input: :math:`(N, C, H, W)`
        - Output: a tuple of features; stage 0, 1, 2, 3 has stride 1, 2, 4, 8.
    """

    def __init__(
        self,
        blocks: Sequence[int] = (3, 4, 6, 3),
        widths: Sequence[int] = (64, 64, 128, 256, 512),
        widen_factor: int = 1,
        out_indices: Sequence[int] = (-1,),
        init_cfg: dict | list[dict] | None = BENCHMARK_INIT,
        in_channels: int = 3,
    ) -> None:
        super().__init__(len(blocks), out_indices, init_cfg)
        if len(widths) != len(blocks) + 1 or min(blocks) < 1:
            raise UsageError(
                f'blocks={tuple(blocks)} of CRDResNetV2 must be positive, and widths={tuple(widths)} one number more: '
                'the stem and the stages.'
            )
        self.conv1 = nn.Conv2d(in_channels, widths[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU()
        channels = widths[0]
        for i, (count, width) in enumerate(zip(blocks, widths[1:]), start=1):
            stage = []
            for j in range(count):
                stride = 2 if i > 1 and j == 0 else 1
                stage.append(Bottleneck(channels, width * widen_factor, width * EXPANSION, stride, j == count - 1))
                channels = width * EXPANSION
            self.add_module(f'layer{i}', join_stage(stage))
