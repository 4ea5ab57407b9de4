"""The CIFAR ResNets of the CRD benchmark (ResNet-8 to ResNet-110, and their ``x4`` widths)."""

from collections.abc import Sequence

from torch import Tensor, nn

from shake_mm.errors import UsageError
from shake_mm.registry import MODELS

from .staged import BENCHMARK_INIT, StagedBackbone, join_stage


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
        """Return the residual sum, rectified unless the stage does that itself."""
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out)) + shortcut
        return out if self.last else self.relu(out)


@MODELS.register_module()
class CRDResNet(StagedBackbone):
    r"""Three-stage ResNet for images of about 32x32, as the CRD benchmark defines it.

    Parameters are named and initialized as there, so its checkpoints load under the prefix ``backbone.`` (the
    classifier ``fc`` under ``head.``). For the stages :math:`i = 1, 2, 3` two submodules are tap points:

    - ``layer{i}.preact``: the stage's features before its last ReLU.
    - ``layer{i}``: the same features after it, which is also what :meth:`forward` returns.

    The stem's features are those of ``relu``.

    Args:
        depth: Number of layers, :math:`6n + 2` for :math:`n` blocks a stage.
        widths: Channels of the stem and of the three stages. The benchmark's ``x4`` networks use
            ``(32, 64, 128, 256)``. Defaults to ``(16, 16, 32, 64)``.
        out_indices: Stages whose features are returned, counted from 0. Defaults to the last one.
        init_cfg: Initialization. Defaults to the benchmark's: Kaiming-normal (fan out) convolutions and identity batch
            norms.
        in_channels: Channels of the images, 1 for gray ones. Defaults to 3.

    Shape:
        - Input: :math:`(N, C, H, W)`
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
        out_indices: Sequence[int] = (-1,),
        init_cfg: dict | list[dict] | None = BENCHMARK_INIT,
        in_channels: int = 3,
    ) -> None:
        super().__init__(3, out_indices, init_cfg)
        if depth < 8 or (depth - 2) % 6:
            raise UsageError(f'depth={depth} of CRDResNet is not 6n + 2: use 8, 14, 20, 32, 44, 56 or 110.')
        if len(widths) != 4:
            raise UsageError(f'widths={tuple(widths)} of CRDResNet must be four numbers: the stem and three stages.')

        blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(in_channels, widths[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU()
        self.layer1 = self._make_stage(widths[0], widths[1], blocks, stride=1)
        self.layer2 = self._make_stage(widths[1], widths[2], blocks, stride=2)
        self.layer3 = self._make_stage(widths[2], widths[3], blocks, stride=2)

    @staticmethod
    def _make_stage(in_channels: int, out_channels: int, blocks: int, stride: int) -> nn.Sequential:
        return join_stage(
            [
                BasicBlock(out_channels if i else in_channels, out_channels, 1 if i else stride, last=i == blocks - 1)
                for i in range(blocks)
            ]
        )
