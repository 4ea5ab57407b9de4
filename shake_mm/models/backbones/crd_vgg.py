"""The VGGs of the CRD benchmark, with batch norm and one linear classifier (Simonyan & Zisserman, 2015)."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from shake_mm.errors import UsageError
from shake_mm.registry import MODELS

from .staged import BENCHMARK_INIT, StagedBackbone

# Convolutions of each block, by depth.
CONVOLUTIONS = {
    8: (1, 1, 1, 1, 1),
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}


@MODELS.register_module()
class CRDVGG(StagedBackbone):
    r"""VGG for images of 32x32 or 64x64, as the CRD benchmark defines it.

    Parameters are named and initialized as there. ``block0`` is the stem, ``block1`` to ``block4`` are the stages;
    a block ends before its last ReLU (``f{i}.preact``), ``relu{i}`` follows (``f{i}``), and only then comes the max
    pool. There is none before ``block4``, unless the image has 64 pixels: the features have 8 there.

    Args:
        depth: 8, 11, 13, 16 or 19.
        widths: Channels of the five blocks. Defaults to ``(64, 128, 256, 512, 512)``.
        out_indices: Stages whose features are returned, counted from 0. Defaults to the last one.
        init_cfg: Initialization. Defaults to the benchmark's.
        in_channels: Channels of the images, 1 for gray ones. Defaults to 3.

    Shape:
        - Input: :math:`(N, C, H, W)`
        - Output: a tuple of features; stage 0, 1, 2, 3 has stride 2, 4, 8, 8 (the last one 16 for 64 pixels).
    """

    def __init__(
        self,
        depth: int,
        widths: Sequence[int] = (64, 128, 256, 512, 512),
        out_indices: Sequence[int] = (-1,),
        init_cfg: dict | list[dict] | None = BENCHMARK_INIT,
        in_channels: int = 3,
    ) -> None:
        super().__init__(4, out_indices, init_cfg)
        if depth not in CONVOLUTIONS:
            raise UsageError(f'depth={depth} of CRDVGG is unknown: use {", ".join(map(str, CONVOLUTIONS))}.')
        if len(widths) != 5:
            raise UsageError(f'widths={tuple(widths)} of CRDVGG must be five numbers, one for each block.')
        channels = in_channels
        for i, (count, width) in enumerate(zip(CONVOLUTIONS[depth], widths)):
            self.add_module(f'block{i}', self._make_block(channels, width, count))
            self.add_module(f'relu{i}', nn.ReLU())
            channels = width

    @staticmethod
    def _make_block(in_channels: int, out_channels: int, count: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for i in range(count):
            conv = nn.Conv2d(out_channels if i else in_channels, out_channels, 3, padding=1)
            layers += [conv, nn.BatchNorm2d(out_channels), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    @property
    def tap_points(self) -> dict[str, str]:
        """Layer of each of the benchmark's features; see :attr:`StagedBackbone.tap_points`."""
        points = {'f0': 'relu0'}
        for i in range(1, 5):
            points |= {f'f{i}': f'relu{i}', f'f{i}.preact': f'block{i}'}
        return points

    def stem(self, x: Tensor) -> Tensor:
        """Run the first block, at the resolution of the images."""
        return self.relu0(self.block0(x))

    def stage(self, index: int, x: Tensor) -> Tensor:
        """Halve the resolution by pooling, then run a block."""
        if index < 4 or x.shape[2] == 8:
            x = F.max_pool2d(x, 2)
        return getattr(self, f'relu{index}')(getattr(self, f'block{index}')(x))
