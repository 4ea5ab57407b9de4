"""Object detection by heatmaps of centers (CenterNet), whose places are those of one map."""

from collections.abc import Mapping
from typing import Any, ClassVar

from mmdet.models.dense_heads import CenterNetHead
from mmdet.models.detectors import CenterNet
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import TASKS
from ..taps import Alias
from ..utils import copy_module
from .branch import LogitsOnly, pyramid
from .detection import DenseDetectionTask


@TASKS.register_module()
class HeatmapDetectionTask(DenseDetectionTask):
    """A CenterNet (Zhou et al., 2019): a heatmap of centers for each class, (N, K, H, W).

    Its logits are what the layers of the heatmap make before the sigmoid, and the shadow is a copy of these layers.
    What mmdet calls an updated CenterNet has a pyramid and is a dense detector.
    """

    model_types: ClassVar[tuple[type, ...]] = (CenterNet,)
    logit_outputs: ClassVar[tuple[str, ...]] = ('bbox_head[0]', 'bbox_head.heatmap_head')

    def aliases(self, network: nn.Module) -> dict[str, Alias]:
        """The logits stand before the head's output."""
        own = {'logits': 'bbox_head.heatmap_head:each'} if _by_heatmap(network) else {}
        return {**super().aliases(network), **own}

    def check_logits(self, student: nn.Module, others: Mapping[str, nn.Module]) -> None:
        """All must have heatmaps; that they are of one size, the divergence sees."""
        if not _by_heatmap(student):
            return super().check_logits(student, others)
        for name, other in others.items():
            if not _by_heatmap(other):
                kind = type(other).__name__
                raise UsageError(
                    f'{name}: a {kind} has no heatmap of centers as the student has: {self.advice(other)}.'
                )
        return None

    def logits_only(self, network: nn.Module) -> Any:
        """Sizes and offsets are left out."""
        if not _by_heatmap(network):
            return super().logits_only(network)
        layer = network.bbox_head.heatmap_head[0]
        return LogitsOnly(network.bbox_head, pyramid([layer.in_channels], layer.weight.device))

    def build_branch(self, network: nn.Module, config: dict | None) -> nn.Module:
        """A copy of the layers of the heatmap alone."""
        if not _by_heatmap(network):
            return super().build_branch(network, config)
        return HeatmapBranch(network.bbox_head)

    def replaced(self, head: nn.Module, output: Any, logits: Any) -> Any:
        """As probabilities, which the head's output holds."""
        if not isinstance(head, CenterNetHead):
            return super().replaced(head, output, logits)
        return [level.sigmoid() for level in logits], *output[1:]


class HeatmapBranch(BaseModule):
    """The layers of a heatmap, with weights of their own, newly initialized.

    Args:
        head (CenterNetHead): The head whose layers are copied.
    """

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        own = copy_module(head)
        for layer in own.heatmap_head.modules():
            if hasattr(layer, 'reset_parameters'):
                layer.reset_parameters()
        own.init_weights()  # the prior of its bias
        self.layers = own.heatmap_head

    def init_weights(self) -> None:
        """Do nothing: the branch was initialized when it was built."""

    def forward(self, features: tuple[Tensor, ...]) -> list[Tensor]:
        """Logits (N, K, H, W) of each level."""
        return [self.layers(level) for level in features]


def _by_heatmap(network: nn.Module) -> bool:
    return isinstance(getattr(network, 'bbox_head', None), CenterNetHead)
