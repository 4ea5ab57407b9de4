"""A proxy teacher on the frozen teacher's features (the variant that SHAKE's authors released)."""

from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn

from ..errors import UsageError
from ..models.backbones.staged import BENCHMARK_INIT
from ..registry import MODELS


@MODELS.register_module()
class TeacherFusion(BaseModule):
    r"""A small network that fuses the levels of the frozen teacher and asks the teacher's own classifier.

    .. math::
        x_1 = f_1, \quad x_i = \mathrm{down}_i(x_{i-1}) + \mathrm{lateral}_i(f_i), \quad
        f_{T'} = \mathrm{fc}_T(\mathrm{pool}(\mathrm{out}(x_m)))

    ``down`` is a 3x3 convolution of the stride between the levels, ``lateral`` 1x1 and ``out`` 3x3, each with BatchNorm
    and ReLU. The student's own features are not read: it learns from the fusion by its logits alone. The authors'
    release has three levels and 100 classes; here both are the teacher's.

    Args:
        classifier (nn.Module): Classifies pooled features (N, C) with the teacher's weights, which stay as they are; it
            may state its ``in_channels``. The distiller fills it in.
        in_shape (list[tuple[int, int, int]]): Shapes (C, H, W) of the levels; the distiller fills them in.
        source (str | list[str]): The taps of the levels.
        init_cfg (dict, optional): Initialization, see :class:`mmengine.model.BaseModule`. Defaults to the release's:
            convolutions by Kaiming's fan-out.

    Raises:
        UsageError: If there are less than two levels.
    """

    reads = ('teacher*.f*',)

    def __init__(
        self,
        classifier: nn.Module,
        in_shape: Sequence[Sequence[int]],
        source: str | Sequence[str] = reads,
        init_cfg: dict | list[dict] | None = BENCHMARK_INIT,
    ) -> None:
        super().__init__(init_cfg)
        if not isinstance(in_shape, list) or len(in_shape) < 2 or None in in_shape:
            raise UsageError('TeacherFusion: `source` must name two levels of the teacher or more, in a list.')
        self.source = source
        self.classifier = classifier
        channels = [shape[0] for shape in in_shape]
        strides = [before[-1] // after[-1] for before, after in zip(in_shape, in_shape[1:])]
        steps = list(zip(channels, channels[1:], strides))
        self.down = nn.ModuleList(_block(before, after, 3, stride) for before, after, stride in steps)
        self.lateral = nn.ModuleList(_block(after, after, 1) for after in channels[1:])
        # A network that ends in a wider 1x1 convolution (MobileNetV2) classifies more channels than its levels have.
        self.out = _block(channels[-1], getattr(classifier, 'in_channels', None) or channels[-1], 3)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Classify.

        Args:
            levels (list[Tensor]): The teacher's features, each (N, C, H, W).

        Returns:
            Tensor: Logits of shape (N, K).
        """
        fused = levels[0]
        for down, lateral, level in zip(self.down, self.lateral, levels[1:]):
            fused = down(fused) + lateral(level)
        return self.classifier(self.out(fused).mean(dim=(2, 3)))


def _block(before: int, after: int, kernel: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True))
