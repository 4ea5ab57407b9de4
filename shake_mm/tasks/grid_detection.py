"""Instance segmentation with mmdet's SOLO and SOLOv2, which classify the cells of grids."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import SOLOHead, SOLOV2Head
from mmdet.models.detectors import SOLO, SOLOv2
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import TASKS
from ..taps import Alias, Taps
from .branch import ClassificationBranch, as_in_training
from .detection import DetectionTask, named_maps, tensors_in
from .detection_logits import logits_of


@TASKS.register_module()
class GridDetectionTask(DetectionTask):
    """A SOLO, which classifies the cells of a grid over the image at every level, and segments each cell's object.

    Its logits are a list over levels of maps (N, C, S, S), for S cells a side, whatever the size of the image. The
    shadow is a copy of the classification tower and predictor on the student's own pyramid.
    """

    model_types = (SOLO, SOLOv2)

    def aliases(self, network: nn.Module) -> dict[str, Alias]:
        """The levels of the pyramid, and what the head reads and makes."""
        own: dict[str, Alias] = {'feats': 'mask_head:input'}
        if isinstance(head := getattr(network, 'mask_head', None), SOLOHead):
            place = logits_of(head).outputs[0]
            own['logits'] = tuple(f'mask_head[{place}][{i}]' for i in range(head.num_levels))
        return {**super().aliases(network), **own}

    def check_logits(self, student: nn.Module, others: Mapping[str, nn.Module]) -> None:
        """All must classify the cells of the same grids."""
        for name, network in {'student': student, **others}.items():
            head = getattr(network, 'mask_head', None)
            if not isinstance(head, SOLOHead):
                raise UsageError(
                    f'{name}: a {type(network).__name__} does not classify the cells of grids: {self.advice(network)}.'
                )
            mine, its = list(student.mask_head.num_grids), list(head.num_grids)
            if mine != its:
                raise UsageError(
                    f'{name} has grids of {its} cells a side and the student of {mine}: give both the same `num_grids`.'
                )

    def forward_head(self, network: nn.Module, passed: Any, taps: Taps) -> None:
        """Run the head on the pyramid, for the logits as in training."""
        with as_in_training(network.mask_head):
            network.mask_head(passed)

    def heads(self, network: nn.Module) -> list[nn.Module]:
        """The head that classifies and segments; a teacher of another kind may have another one."""
        head = getattr(network, 'mask_head', None)
        return super().heads(network) if head is None else [head]

    def build_branch(self, network: nn.Module, config: dict | None) -> nn.Module:
        """The classification tower and predictor of the head."""
        self.check_logits(network, {})
        return GridBranch(network.mask_head)

    def logits_loss(self, network: nn.Module, config: dict) -> dict:
        """Of Bernoulli distributions at every cell, weighed by the teacher's confidence."""
        channels = network.mask_head.cls_out_channels
        return {'type': 'DenseKLLoss', 'num_classes': channels, 'activation': 'sigmoid', **config}

    def replaced(self, head: nn.Module, output: Any, logits: Any) -> Any:
        """In evaluation all but SOLOv2's head return scores, of the cells alone that no neighbor exceeds."""
        evaluating = not head.training and not isinstance(head, SOLOV2Head)
        return logits_of(head).write(output, [_peaks(level) for level in logits] if evaluating else logits)

    def outputs(self, network: nn.Module, inputs: Tensor) -> list[Tensor]:
        """All outputs of the head, level by level."""
        return tensors_in(network.mask_head(network.extract_feat(inputs)))

    def raw_outputs(self, network: nn.Module, inputs: Tensor) -> dict[str, Tensor]:
        """The maps of the grid's masks and classes, by mmdet's names."""
        return named_maps(network.mask_head, network.extract_feat(inputs))


class GridBranch(ClassificationBranch):
    """The part of a SOLO's head that its class scores depend on.

    Args:
        head (nn.Module): The head whose architecture is copied.
    """

    def __init__(self, head: nn.Module) -> None:
        device = next(head.parameters()).device
        # The mask features of a SOLOv2 add up all levels, each half as large as the one before.
        sizes = [4 * 2**i for i in reversed(range(head.num_levels))]
        super().__init__(head, tuple(_noise(head.in_channels, size).to(device) for size in sizes))

    def forward(self, features: Any) -> list[Tensor]:
        """The logits, a list of (N, C, S, S), of a pyramid."""
        with as_in_training(self.head):
            return super().forward(features)


def _noise(channels: int, size: int) -> Tensor:
    return torch.randn(1, channels, size, size, generator=torch.Generator().manual_seed(size))


def _peaks(logits: Tensor) -> Tensor:
    """The scores of cells that are the largest among their neighbors, as the heads compute them; 0 elsewhere."""
    scores = logits.sigmoid()
    largest = F.max_pool2d(scores, 2, stride=1, padding=1)[:, :, :-1, :-1]
    return scores * (largest == scores)
