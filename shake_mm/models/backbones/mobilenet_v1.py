"""MobileNet (Howard et al., 2017), the student of the paper's ImageNet table."""

from collections.abc import Sequence

from torch import Tensor, nn

from shake_mm.errors import UsageError
from shake_mm.registry import MODELS

from .staged import BENCHMARK_INIT, StagedBackbone, join_stage

# Channels before widening and stride of each block, by stage; the stem has 32 channels and stride 2.
STAGES = (
    ((64, 1), (128, 2), (128, 1)),
    ((256, 2), (256, 1)),
    ((512, 2), *[(512, 1)] * 5),
    ((1024, 2), (1024, 1)),
)


class SeparableBlock(nn.Module):
    """3x3 depthwise and 1x1 convolution, each with batch norm and ReLU; the last ReLU of a stage is left out.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: Stride of the depthwise convolution.
        last: Whether the block ends its stage, which then applies the ReLU itself.

    Shape:
        - Input: :math:`(N, C_{in}, H, W)`
        - Output: :math:`(N, C_{out}, H / stride, W / stride)`
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, last: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, in_channels, 3, stride, 1, groups=in_channels, bias=False)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv2 = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU()
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        """Filter each channel on its own, then mix the channels."""
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return out if self.last else self.relu(out)


@MODELS.register_module()
class MobileNetV1(StagedBackbone):
    r"""MobileNet for ImageNet; its four stages have the strides of a ResNet's.

    Args:
        widen_factor: The paper's width multiplier :math:`\alpha`. Defaults to 1.
        out_indices: Stages whose features are returned, counted from 0. Defaults to the last one.
        init_cfg: Initialization. Defaults to Kaiming-normal (fan out) convolutions and identity batch norms.
        in_channels: Channels of the images, 1 for gray ones. Defaults to 3.

    Shape:
        - Input: :math:`(N, C, H, W)`
        - Output: a tuple of features; stage 0, 1, 2, 3 has stride 4, 8, 16, 32 and 128, 256, 512, 1024 channels.

    Example:
        >>> import torch
        >>> net = MobileNetV1(widen_factor=0.25, out_indices=(1, 3))
        >>> [tuple(feat.shape) for feat in net(torch.rand(1, 3, 64, 64))]
        [(1, 64, 8, 8), (1, 256, 2, 2)]
    """

    def __init__(
        self,
        widen_factor: float = 1.0,
        out_indices: Sequence[int] = (-1,),
        init_cfg: dict | list[dict] | None = BENCHMARK_INIT,
        in_channels: int = 3,
    ) -> None:
        super().__init__(len(STAGES), out_indices, init_cfg)
        channels = int(32 * widen_factor)
        if channels < 1:
            raise UsageError(f'widen_factor={widen_factor} of MobileNetV1 leaves no channel: use 0.03125 or more.')
        self.conv1 = nn.Conv2d(in_channels, channels, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        for i, stage in enumerate(STAGES, start=1):
            blocks = []
            for j, (width, stride) in enumerate(stage):
                width = int(width * widen_factor)
                blocks.append(SeparableBlock(channels, width, stride, last=j == len(stage) - 1))
                channels = width
            self.add_module(f'layer{i}', join_stage(blocks))
