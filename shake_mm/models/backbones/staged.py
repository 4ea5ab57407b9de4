"""What the backbones share: a stem, stages, a name for every point that distillation taps, a choice of outputs."""

from collections import OrderedDict
from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn

from shake_mm.errors import UsageError

# Normal with variance 2 / (k * k * channels out), which the CRD benchmark writes in two ways.
BENCHMARK_INIT: list[dict] = [
    dict(type='Kaiming', layer='Conv2d', mode='fan_out', nonlinearity='relu'),
    dict(type='Constant', layer='BatchNorm2d', val=1, bias=0),
]


def join_stage(blocks: Sequence[nn.Module], **after: nn.Module) -> nn.Sequential:
    """Build a stage: its blocks, then the parameter-free tap ``preact`` and the last ReLU.

    Args:
        blocks: Blocks, of which the last one leaves out its ReLU.
        **after: Layers that follow the ReLU, by name.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict((str(i), block) for i, block in enumerate(blocks))
    return nn.Sequential(OrderedDict(layers, preact=nn.Identity(), relu=nn.ReLU(), **after))


class StagedBackbone(BaseModule):
    r"""Backbone of a stem and :math:`m` stages.

    A network of ``conv1``, ``bn1``, ``relu`` and ``layer1`` to ``layer{m}``, made by :func:`join_stage`, needs no
    method of its own; the others override :meth:`stem`, :meth:`stage`, :meth:`tail` and :attr:`tap_points`, and
    :attr:`body_layers` where :meth:`tail` has parameters.

    Args:
        num_stages: :math:`m`.
        out_indices: Stages whose features are returned, counted from 0, or from the end where negative.
        init_cfg: Initialization.

    Raises:
        UsageError: If ``out_indices`` names no stage, or one that does not exist.
    """

    body_layers: tuple[str, ...] | None = None
    """The layers of the stem and the stages, without those of :meth:`tail`; None for all. Stages of training call them
    ``student.body``."""

    def __init__(self, num_stages: int, out_indices: Sequence[int], init_cfg: dict | list[dict] | None) -> None:
        super().__init__(init_cfg=init_cfg)
        chosen = {i + num_stages if i < 0 else i for i in out_indices}
        if not chosen or not chosen <= set(range(num_stages)):
            raise UsageError(
                f'out_indices={tuple(out_indices)} of {type(self).__name__} must name stages from 0 to '
                f'{num_stages - 1}.'
            )
        self.num_stages = num_stages
        self.out_indices = tuple(sorted(chosen))

    @property
    def tap_points(self) -> dict[str, str]:
        """Layer of each of the CRD benchmark's features, as a tap names it (``layer`` or ``layer:input``).

        ``f0`` is the stem, ``f1`` to ``f{m}`` are the stages, and ``f{i}.preact`` is a stage before its last
        activation. Each layer runs once in a forward pass, and nothing overwrites its tensor.
        """
        points = {'f0': 'relu'}
        for i in range(1, self.num_stages + 1):
            points |= {f'f{i}': f'layer{i}', f'f{i}.preact': f'layer{i}.preact'}
        return points

    def stem(self, x: Tensor) -> Tensor:
        """Run what precedes the first stage, shape (N, C, H, W)."""
        return self.relu(self.bn1(self.conv1(x)))

    def stage(self, index: int, x: Tensor) -> Tensor:
        """Run a stage, counted from 1 as in the names of its features."""
        return getattr(self, f'layer{index}')(x)

    def tail(self, x: Tensor) -> Tensor:
        """Turn the last stage's features into those that the classifier pools."""
        return x

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the features of the stages in ``out_indices``, those of the last stage as the classifier pools them.

        Args:
            x: Images, shape (N, C, H, W).
        """
        x = self.stem(x)
        feats = []
        for i in range(self.num_stages):
            x = self.stage(i + 1, x)
            if i == self.num_stages - 1:
                x = self.tail(x)
            if i in self.out_indices:
                feats.append(x)
        return tuple(feats)
