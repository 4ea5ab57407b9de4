"""The wide ResNets of the CRD benchmark (Zagoruyko & Komodakis, 2016)."""

from collections.abc import Sequence

from torch import Tensor, nn

from shake_mm.errors import UsageError
from shake_mm.registry import MODELS

from .staged import BENCHMARK_INIT, StagedBackbone


class PreactBlock(nn.Module):
    """Batch norm and ReLU before each of two 3x3 convolutions; a shortcut that changes channels is activated too.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: Stride of the first convolution and of the shortcut.

    Shape:
        - Input: :math:`(N, C_{in}, H, W)`
        - Output: :math:`(N, C_{out}, H / stride, W / stride)`
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.convShortcut: nn.Conv2d | None = None
        if stride != 1 or in_channels != out_channels:
            self.convShortcut = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the residual sum, whose activation comes with the next block."""
        activated = self.relu1(self.bn1(x))
        shortcut = x if self.convShortcut is None else self.convShortcut(activated)
        return self.conv2(self.relu2(self.bn2(self.conv1(activated)))) + shortcut


class WideStage(nn.Module):
    """Blocks in a row, under the benchmark's name ``layer``.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        blocks: Number of blocks.
        stride: Stride of the first block.
    """

    def __init__(self, in_channels: int, out_channels: int, blocks: int, stride: int) -> None:
        super().__init__()
        self.layer = nn.Sequential(
            *(PreactBlock(out_channels if i else in_channels, out_channels, 1 if i else stride) for i in range(blocks))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Run the blocks one after the other."""
        return self.layer(x)


@MODELS.register_module()
class CRDWideResNet(StagedBackbone):
    r"""Wide ResNet for images of about 32x32, as the CRD benchmark defines it, without dropout.

    Parameters are named and initialized as there. The blocks are pre-activated, so a stage's features (``f{i}``) are
    raw sums, and they meet their batch norm only at the beginning of the next stage: that layer's output is
    ``f{i}.preact``. The features of the last stage are returned after its batch norm and ReLU, the others raw. That
    last batch norm belongs to no stage: the benchmark's initializations (AB) leave it as it is.

    Args:
        depth: Number of layers, :math:`6n + 4` for :math:`n` blocks a stage.
        widen_factor: Factor :math:`k` of the stages' channels. Defaults to 1.
        base_channels: Channels :math:`c` of the stem; the stages have :math:`ck`, :math:`2ck` and :math:`4ck`. Defaults
            to 16.
        out_indices: Stages whose features are returned, counted from 0. Defaults to the last one.
        init_cfg: Initialization. Defaults to the benchmark's.
        in_channels: Channels of the images, 1 for gray ones. Defaults to 3.

    Shape:
        - Input: :math:`(N, C, H, W)`
        - Output: a tuple of features; stage 0, 1, 2 has stride 1, 2, 4.
    """

    body_layers = ('conv1', 'block1', 'block2', 'block3')

    def __init__(
        self,
        depth: int,
        widen_factor: int = 1,
        base_channels: int = 16,
        out_indices: Sequence[int] = (-1,),
        init_cfg: dict | list[dict] | None = BENCHMARK_INIT,
        in_channels: int = 3,
    ) -> None:
        super().__init__(3, out_indices, init_cfg)
        if depth < 10 or (depth - 4) % 6:
            raise UsageError(f'depth={depth} of CRDWideResNet is not 6n + 4: use 10, 16, 22, 28 or 40.')
        blocks, width = (depth - 4) // 6, base_channels * widen_factor
        self.conv1 = nn.Conv2d(in_channels, base_channels, 3, 1, 1, bias=False)
        self.block1 = WideStage(base_channels, width, blocks, stride=1)
        self.block2 = WideStage(width, 2 * width, blocks, stride=2)
        self.block3 = WideStage(2 * width, 4 * width, blocks, stride=2)
        self.bn1 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU()

    @property
    def tap_points(self) -> dict[str, str]:
        """Layer of each of the benchmark's features; see :attr:`StagedBackbone.tap_points`."""
        return {
            'f0': 'conv1',
            'f1': 'block1',
            'f1.preact': 'block2.layer.0.bn1',
            'f2': 'block2',
            'f2.preact': 'block3.layer.0.bn1',
            'f3': 'block3',
            'f3.preact': 'bn1',
        }

    def stem(self, x: Tensor) -> Tensor:
        """Run the first convolution, which no activation follows."""
        return self.conv1(x)

    def stage(self, index: int, x: Tensor) -> Tensor:
        """Run a stage, counted from 1."""
        return getattr(self, f'block{index}')(x)

    def tail(self, x: Tensor) -> Tensor:
        """Normalize and activate the last stage's features."""
        return self.relu(self.bn1(x))
