"""The ShuffleNetV2 of the CRD benchmark (Ma et al., 2018), for images of about 32x32."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from shake_mm.compat.torch_names import ChannelShuffle
from shake_mm.errors import UsageError
from shake_mm.registry import MODELS

from .staged import StagedBackbone, join_stage


class SplitUnit(nn.Module):
    """Leave half of the channels as they are, pass the other half through three convolutions, shuffle.

    The last unit of a stage leaves its last ReLU and the shuffle to the stage. Applied to both halves, that ReLU is the
    same: the half left as it is comes from a ReLU.

    Args:
        channels: Channels of input and output, an even number.
        last: Whether the unit ends its stage.

    Shape:
        - Input and output: :math:`(N, C, H, W)`
    """

    def __init__(self, channels: int, last: bool) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = nn.Conv2d(half, half, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(half)
        self.conv2 = nn.Conv2d(half, half, 3, 1, 1, groups=half, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(half, half, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(half)
        self.relu = nn.ReLU()
        self.shuffle = ChannelShuffle(2)
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        """Convolve one half of the channels, keep the other, and shuffle both."""
        kept, out = x.chunk(2, dim=1)
        out = self.relu(self.bn1(self.conv1(out)))
        out = self.bn3(self.conv3(self.bn2(self.conv2(out))))
        if self.last:
            return torch.cat([kept, out], dim=1)
        return self.shuffle(torch.cat([kept, self.relu(out)], dim=1))


class DownUnit(nn.Module):
    """Halve the resolution in two branches, concatenate and shuffle them.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output, an even number.

    Shape:
        - Input: :math:`(N, C_{in}, H, W)`
        - Output: :math:`(N, C_{out}, H / 2, W / 2)`
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        half = out_channels // 2
        self.conv1 = nn.Conv2d(in_channels, in_channels, 3, 2, 1, groups=in_channels, bias=False)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv2 = nn.Conv2d(in_channels, half, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(in_channels, half, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(half)
        self.conv4 = nn.Conv2d(half, half, 3, 2, 1, groups=half, bias=False)
        self.bn4 = nn.BatchNorm2d(half)
        self.conv5 = nn.Conv2d(half, half, 1, bias=False)
        self.bn5 = nn.BatchNorm2d(half)
        self.relu = nn.ReLU()
        self.shuffle = ChannelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve the input in two branches of stride 2, and shuffle both."""
        left = self.relu(self.bn2(self.conv2(self.bn1(self.conv1(x)))))
        right = self.relu(self.bn3(self.conv3(x)))
        right = self.relu(self.bn5(self.conv5(self.bn4(self.conv4(right)))))
        return self.shuffle(torch.cat([left, right], dim=1))


@MODELS.register_module()
class CRDShuffleNetV2(StagedBackbone):
    r"""ShuffleNetV2 as the CRD benchmark defines it: a 1x1 stem without stride, and three stages.

    Parameters are named as there and, as there, initialized by torch's defaults. A stage's ``preact`` is what it
    concatenates last, before ReLU and shuffle, so its channels are in another order than those of ``layer{i}``. The
    features of the last stage are returned after the 1x1 convolution ``conv2``, its batch norm and a ReLU.

    Args:
        widths: Channels of the three stages and of ``conv2``. Defaults to those of size 1, ``(116, 232, 464, 1024)``.
        blocks: Units of the three stages that follow the halving one. Defaults to ``(3, 7, 3)``.
        stem_channels: Channels of the stem. Defaults to 24.
        out_indices: Stages whose features are returned, counted from 0. Defaults to the last one.
        init_cfg: Initialization. Defaults to torch's.
        in_channels: Channels of the images, 1 for gray ones. Defaults to 3.

    Shape:
        - Input: :math:`(N, C, H, W)`
        - Output: a tuple of features; stage 0, 1, 2 has stride 2, 4, 8.
    """

    body_layers = ('conv1', 'bn1', 'layer1', 'layer2', 'layer3')

    def __init__(
        self,
        widths: Sequence[int] = (116, 232, 464, 1024),
        blocks: Sequence[int] = (3, 7, 3),
        stem_channels: int = 24,
        out_indices: Sequence[int] = (-1,),
        init_cfg: dict | list[dict] | None = None,
        in_channels: int = 3,
    ) -> None:
        super().__init__(3, out_indices, init_cfg)
        if len(widths) != 4 or any(width % 2 for width in widths[:3]):
            raise UsageError(f'widths={tuple(widths)} of CRDShuffleNetV2 must be four numbers, the first three even.')
        if len(blocks) != 3 or min(blocks) < 1:
            raise UsageError(f'blocks={tuple(blocks)} of CRDShuffleNetV2 must be three numbers larger than 0.')
        self.conv1 = nn.Conv2d(in_channels, stem_channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem_channels)
        self.relu = nn.ReLU()
        channels = stem_channels
        for i, (width, count) in enumerate(zip(widths[:3], blocks), start=1):
            units = [DownUnit(channels, width), *(SplitUnit(width, last=j == count - 1) for j in range(count))]
            self.add_module(f'layer{i}', join_stage(units, shuffle=ChannelShuffle(2)))
            channels = width
        self.conv2 = nn.Conv2d(channels, widths[3], 1, bias=False)
        self.bn2 = nn.BatchNorm2d(widths[3])
        self.relu2 = nn.ReLU()

    def tail(self, x: Tensor) -> Tensor:
        """Run the last 1x1 convolution, its batch norm and its ReLU."""
        return self.relu2(self.bn2(self.conv2(x)))
