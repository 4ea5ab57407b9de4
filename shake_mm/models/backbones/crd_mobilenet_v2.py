"""The MobileNetV2 of the CRD benchmark (Sandler et al., 2018), for images of about 32x32."""

from collections.abc import Sequence

from torch import Tensor, nn

from shake_mm.errors import UsageError
from shake_mm.registry import MODELS

from .staged import BENCHMARK_INIT, StagedBackbone

# Channels before widening, blocks and stride of each group; the first group does not expand.
GROUPS = ((16, 1, 1), (24, 2, 1), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1))
# A stage ends where the benchmark takes features: after these groups.
STAGE_ENDS = (1, 2, 4, 6)


class InvertedResidual(nn.Module):
    """Expand (1x1), filter (3x3 depthwise), project (1x1, linear); a shortcut where input and output agree.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: Stride of the depthwise convolution.
        expansion: Factor of the inner channels.

    Shape:
        - Input: :math:`(N, C_{in}, H, W)`
        - Output: :math:`(N, C_{out}, H / stride, W / stride)`
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = in_channels * expansion
        self.conv = nn.Sequential(
            nn.Conv2d(in_channels, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(inner, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Widen, filter and narrow the features, and add them to the input where shapes allow."""
        return x + self.conv(x) if self.residual else self.conv(x)


@MODELS.register_module()
class CRDMobileNetV2(StagedBackbone):
    r"""MobileNetV2 as the CRD benchmark defines it: ReLU instead of ReLU6, and fewer strides than on ImageNet.

    Parameters are named and initialized as there. The stages end after the groups 1, 2, 4 and 6 of ``blocks``, whose
    outputs are linear, so ``f{i}.preact`` is ``f{i}`` as in the benchmark. The features of the last stage are returned
    after ``conv2``.

    Args:
        widen_factor: Factor of the channels. Defaults to 0.5.
        expansion: Factor of the inner channels of a block. Defaults to 6.
        last_channels: Channels of ``conv2``. Defaults to 1280, times the widening factor where that is above 1.
        out_indices: Stages whose features are returned, counted from 0. Defaults to the last one.
        init_cfg: Initialization. Defaults to the benchmark's.
        in_channels: Channels of the images, 1 for gray ones. Defaults to 3.

    Shape:
        - Input: :math:`(N, C, H, W)`
        - Output: a tuple of features; stage 0, 1, 2, 3 has stride 2, 4, 8, 16.
    """

    body_layers = ('conv1', 'blocks')

    def __init__(
        self,
        widen_factor: float = 0.5,
        expansion: int = 6,
        last_channels: int | None = None,
        out_indices: Sequence[int] = (-1,),
        init_cfg: dict | list[dict] | None = BENCHMARK_INIT,
        in_channels: int = 3,
    ) -> None:
        super().__init__(4, out_indices, init_cfg)
        if int(GROUPS[0][0] * widen_factor) < 1:
            raise UsageError(f'widen_factor={widen_factor} of CRDMobileNetV2 leaves no channel: use 0.0625 or more.')
        last_channels = last_channels or int(1280 * max(widen_factor, 1))
        channels = int(32 * widen_factor)
        self.conv1 = self._conv_bn_relu(in_channels, channels, 3, 2)
        self.blocks = nn.ModuleList()
        for i, (width, count, stride) in enumerate(GROUPS):
            group = []
            for j in range(count):
                group.append(
                    InvertedResidual(channels, int(width * widen_factor), 1 if j else stride, expansion if i else 1)
                )
                channels = int(width * widen_factor)
            self.blocks.append(nn.Sequential(*group))
        self.conv2 = self._conv_bn_relu(channels, last_channels, 1, 1)

    @staticmethod
    def _conv_bn_relu(in_channels: int, out_channels: int, kernel: int, stride: int) -> nn.Sequential:
        conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU())

    @property
    def tap_points(self) -> dict[str, str]:
        """Layer of each of the benchmark's features; see :attr:`StagedBackbone.tap_points`."""
        points = {'f0': 'conv1'}
        for i, end in enumerate(STAGE_ENDS, start=1):
            points |= {f'f{i}': f'blocks.{end}', f'f{i}.preact': f'blocks.{end}'}
        return points

    def stem(self, x: Tensor) -> Tensor:
        """Run the first convolution, its batch norm and its ReLU."""
        return self.conv1(x)

    def stage(self, index: int, x: Tensor) -> Tensor:
        """Run the groups of a stage, counted from 1."""
        begin = STAGE_ENDS[index - 2] + 1 if index > 1 else 0
        for i in range(begin, STAGE_ENDS[index - 1] + 1):
            x = self.blocks[i](x)
        return x

    def tail(self, x: Tensor) -> Tensor:
        """Run the last 1x1 convolution, its batch norm and its ReLU."""
        return self.conv2(x)
