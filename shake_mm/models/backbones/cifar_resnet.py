"""The CIFAR ResNets of the CRD benchmark, with a name for every point that distillation taps."""

from collections import OrderedDict
from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn

from shake_mm.errors import UsageError
from shake_mm.registry import MODELS

BENCHMARK_INIT = [
    dict(type='Kaiming', layer='Conv2d', mode='fan_out', nonlinearity='relu'),
    dict(type='Constant', layer='BatchNorm2d', val=1, bias=0),
]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; the ReLU after the sum is left out at the end of a stage.

    No activation works in place: a hook keeps what it recorded.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: Stride of the first convolution and of the shortcut. Defaults to 1.
        last: Whether the block ends its stage, which then applies the ReLU itself. Defaults to False.

    Shape:
        - Input: :math:`(N, C_{in}, H, W)`
        - Output: :math:`(N, C_{out}, H / stride, W / stride)`
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, last: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out)) + shortcut
        return out if self.last else self.relu(out)


@MODELS.register_module()
class CRDResNet(BaseModule):
    r"""Three-stage ResNet for pictures of about 32x32, as the CRD benchmark defines it.

    Parameters are named and initialised as there, so its checkpoints load under the prefix ``backbone.`` (the
    classifier ``fc`` under ``head.``). For the stages :math:`i = 1, 2, 3` two submodules are tap points:

    - ``layer{i}.preact``: the stage's features before its last ReLU.
    - ``layer{i}``: the same features after it, which is also what :meth:`forward` returns.

    The stem's features are those of ``relu``.

    Args:
        depth: Number of layers, :math:`6n + 2` for :math:`n` blocks a stage.
        widths: Channels of the stem and of the three stages. The benchmark's ``x4`` networks use
            ``(32, 64, 128, 256)``. Defaults to ``(16, 16, 32, 64)``.
        out_indices: Stages whose features are returned, counted from 0. Defaults to ``(2, )``.
        init_cfg: Initialisation. Defaults to the benchmark's: Kaiming-normal (fan out) convolutions and identity batch
            norms.

    Shape:
        - Input: :math:`(N, 3, H, W)`
        - Output: a tuple of features; stage 0, 1, 2 has stride 1, 2, 4.

    Example:
        >>> import torch
        >>> net = CRDResNet(depth=8, out_indices=(0, 1, 2))
        >>> [tuple(feat.shape) for feat in net(torch.rand(1, 3, 32, 32))]
        [(1, 16, 32, 32), (1, 32, 16, 16), (1, 64, 8, 8)]
    """

    def __init__(
        self,
        depth: int,
        widths: Sequence[int] = (16, 16, 32, 64),
        out_indices: Sequence[int] = (2,),
        init_cfg: dict | list[dict] | None = BENCHMARK_INIT,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if depth < 8 or (depth - 2) % 6:
            raise UsageError(f'depth={depth} of CRDResNet is not 6n + 2: use 8, 14, 20, 32, 44, 56 or 110.')
        if len(widths) != 4:
            raise UsageError(f'widths={tuple(widths)} of CRDResNet must be four numbers: the stem and three stages.')
        if not out_indices or not set(out_indices) <= {0, 1, 2}:
            raise UsageError(f'out_indices={tuple(out_indices)} of CRDResNet must name stages among 0, 1 and 2.')
        self.out_indices = tuple(out_indices)

        blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(3, widths[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU()
        self.layer1 = self._make_stage(widths[0], widths[1], blocks, stride=1)
        self.layer2 = self._make_stage(widths[1], widths[2], blocks, stride=2)
        self.layer3 = self._make_stage(widths[2], widths[3], blocks, stride=2)

    @staticmethod
    def _make_stage(in_channels: int, out_channels: int, blocks: int, stride: int) -> nn.Sequential:
        """Build a stage: its blocks, then the parameter-free tap ``preact`` and the last ReLU."""
        stage: OrderedDict[str, nn.Module] = OrderedDict()
        for i in range(blocks):
            last = i == blocks - 1
            stage[str(i)] = BasicBlock(out_channels if i else in_channels, out_channels, 1 if i else stride, last)
        stage['preact'] = nn.Identity()
        stage['relu'] = nn.ReLU()
        return nn.Sequential(stage)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the features of the stages in ``out_indices``, after their last ReLU."""
        x = self.relu(self.bn1(self.conv1(x)))
        feats = []
        for i, stage in enumerate((self.layer1, self.layer2, self.layer3)):
            x = stage(x)
            if i in self.out_indices:
                feats.append(x)
        return tuple(feats)
