"""The ShuffleNetV1 of the CRD benchmark (Zhang et al., 2018), for images of about 32x32."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from shake_mm.compat.torch_names import ChannelShuffle
from shake_mm.errors import UsageError
from shake_mm.registry import MODELS

from .staged import StagedBackbone, join_stage


class ShuffleUnit(nn.Module):
    """Grouped 1x1, depthwise 3x3 and grouped 1x1 convolutions, channels shuffled after the first one.

    With stride 2 the input, average-pooled, is concatenated; otherwise it is added. The ReLU after that is left out at
    the end of a stage.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels that the convolutions make.
        stride: 1 or 2.
        groups: Groups of the last convolution.
        first_groups: Groups of the first convolution.
        last: Whether the block ends its stage, which then applies the ReLU itself.

    Shape:
        - Input: :math:`(N, C_{in}, H, W)`
        - Output: :math:`(N, C_{out}, H, W)`, or :math:`(N, C_{out} + C_{in}, H / 2, W / 2)`
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, groups: int, first_groups: int, last: bool
    ) -> None:
        super().__init__()
        inner = out_channels // 4
        self.conv1 = nn.Conv2d(in_channels, inner, 1, groups=first_groups, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.shuffle1 = ChannelShuffle(first_groups)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, out_channels, 1, groups=groups, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU()
        self.shortcut = nn.AvgPool2d(3, stride=2, padding=1) if stride == 2 else nn.Identity()
        self.stride, self.last = stride, last

    def forward(self, x: Tensor) -> Tensor:
        """Join the branch to its shortcut: a sum, or with stride 2 a concatenation."""
        out = self.shuffle1(self.relu(self.bn1(self.conv1(x))))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        shortcut = self.shortcut(x)
        out = torch.cat([out, shortcut], dim=1) if self.stride == 2 else out + shortcut
        return out if self.last else self.relu(out)


@MODELS.register_module()
class CRDShuffleNetV1(StagedBackbone):
    r"""ShuffleNetV1 as the CRD benchmark defines it: a 1x1 stem without stride, and three stages.

    Parameters are named as there and, as there, initialized by torch's defaults. The first convolution of the first
    stage is not grouped.

    Args:
        widths: Channels of the three stages. Defaults to ``(240, 480, 960)``.
        blocks: Blocks of the three stages. Defaults to ``(4, 8, 4)``.
        groups: Groups of the 1x1 convolutions. Defaults to 3.
        stem_channels: Channels of the stem. Defaults to 24.
        out_indices: Stages whose features are returned, counted from 0. Defaults to the last one.
        init_cfg: Initialization. Defaults to torch's.
        in_channels: Channels of the images, 1 for gray ones. Defaults to 3.

    Shape:
        - Input: :math:`(N, C, H, W)`
        - Output: a tuple of features; stage 0, 1, 2 has stride 2, 4, 8.
    """

    def __init__(
        self,
        widths: Sequence[int] = (240, 480, 960),
        blocks: Sequence[int] = (4, 8, 4),
        groups: int = 3,
        stem_channels: int = 24,
        out_indices: Sequence[int] = (-1,),
        init_cfg: dict | list[dict] | None = None,
        in_channels: int = 3,
    ) -> None:
        super().__init__(3, out_indices, init_cfg)
        if len(widths) != 3 or len(blocks) != 3 or min(blocks) < 1:
            raise UsageError(
                f'widths={tuple(widths)} and blocks={tuple(blocks)} of CRDShuffleNetV1 must be three numbers each, '
                'and every stage needs a block.'
            )
        grown = [width - before for width, before in zip(widths, (stem_channels, *widths))]
        if min(grown) < 1 or any(number % (4 * groups) for number in (*widths, *grown)):
            raise UsageError(
                f'widths={tuple(widths)} of CRDShuffleNetV1 must grow from stem_channels={stem_channels} by multiples '
                f'of {4 * groups} (4 x groups), and be such multiples.'
            )
        self.conv1 = nn.Conv2d(in_channels, stem_channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem_channels)
        self.relu = nn.ReLU()
        channels = stem_channels
        for i, (width, count) in enumerate(zip(widths, blocks), start=1):
            # The first unit makes what its pooled input does not bring.
            units = [ShuffleUnit(channels, width - channels, 2, groups, 1 if i == 1 else groups, last=count == 1)]
            units += [ShuffleUnit(width, width, 1, groups, groups, last=j == count - 1) for j in range(1, count)]
            self.add_module(f'layer{i}', join_stage(units))
            channels = width
