"""Masks: those of a RoI head for the boxes that the student's own loss takes, and what a mask head computes anyhow."""

import inspect
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
from torch import Tensor, nn

from ..errors import UsageError
from ..taps import Absent, Alias, Taps

NOTED = ('mask_labels',)
"""Facts of a batch that the mask heads of a student make."""

_PLAIN = (StandardRoIHead, CascadeRoIHead)
"""RoI heads whose mask heads read the features of given boxes and nothing else."""


_REASON = 'a {} has no mask head that reads the features of given boxes alone, distill features (f1, f2, …)'


def mask_aliases(head: nn.Module | None) -> dict[str, Alias]:
    """Taps of the masks of a RoI head, logits (R, K, H, W), and of the boxes (R, 5) that they are of."""
    if not _distillable(head):
        return {'masks': Absent(_REASON.format(type(head).__name__))}
    if isinstance(head, CascadeRoIHead):
        stages = range(head.num_stages)
        boxes = tuple(f'roi_head.mask_roi_extractor.{stage}:inputs[1]' for stage in stages)
        return {'masks': tuple(f'roi_head.mask_head.{stage}' for stage in stages), 'mask_rois': boxes}
    return {'masks': 'roi_head.mask_head', 'mask_rois': 'roi_head.mask_roi_extractor:inputs[1]'}


def _distillable(head: nn.Module | None) -> bool:
    """Whether the masks of given boxes can be had: not where they are cut out of what the boxes' features were."""
    plain = [kind._mask_forward for kind in _PLAIN]
    return (
        getattr(head, 'with_mask', False)
        and getattr(type(head), '_mask_forward', None) in plain
        and not getattr(head, 'share_roi_extractor', False)
    )


def forward_masks(head: nn.Module, passed: Any, taps: Taps) -> None:
    """Let a teacher's mask heads run on the boxes that the student's ran on."""
    boxes = taps.value('student.mask_rois')
    if isinstance(boxes, list):
        for stage, own in enumerate(boxes):
            head._mask_forward(stage, passed, own)
    else:
        head._mask_forward(passed, boxes)


def masks_of(head: nn.Module, features: Any, boxes: Tensor) -> list[Tensor]:
    """Masks of given boxes (R, 5) by every mask head; none of a RoI head that makes them otherwise."""
    if not _distillable(head):
        return []
    stages = [(stage,) for stage in range(head.num_stages)] if isinstance(head, CascadeRoIHead) else [()]
    return [head._mask_forward(*stage, features, boxes)['mask_preds'] for stage in stages]


def check_mask_facts(head: nn.Module | None, names: Collection[str]) -> None:
    """Refuse a student that has no masks of shared boxes.

    Raises:
        UsageError: With the reason.
    """
    if 'mask_labels' in names and not _distillable(head):
        raise UsageError(f'student: {_REASON.format(type(head).__name__)}.')


@contextmanager
def noting_masks(head: nn.Module | None, names: Collection[str]) -> Iterator[dict[str, Any]]:
    """While it is entered, the classes of the boxes are noted of which a student's own loss compares masks.

    Args:
        head (nn.Module): The student's RoI head.
        names (collection of str): Facts that are wanted, of :data:`NOTED`.

    Yields:
        dict: ``mask_labels``, a tensor (R,) for each stage, once the loss has run.
    """
    noted: dict[str, Any] = {}
    if head is None or 'mask_labels' not in names:
        yield noted
        return
    mask_heads = list(head.mask_head) if isinstance(head.mask_head, nn.ModuleList) else [head.mask_head]
    noted['mask_labels'] = labels = [torch.zeros(0, dtype=torch.long)] * len(mask_heads)
    with ExitStack() as stack:
        for stage, mask_head in enumerate(mask_heads):
            mask_head.loss_and_target = _watched(mask_head.loss_and_target, stage, labels)
            stack.callback(delattr, mask_head, 'loss_and_target')  # the class's again
        yield noted


def _watched(plain: Callable, stage: int, labels: list[Tensor]) -> Callable:
    def watched(*args: Any, **kwargs: Any) -> Any:
        given = inspect.signature(plain).bind(*args, **kwargs).arguments
        labels[stage] = torch.cat([result.pos_gt_labels for result in given['sampling_results']])
        return plain(*args, **kwargs)

    return watched


def mask_outputs(network: nn.Module, feats: Any) -> list[Any]:
    """What the mask head of a one-stage detector makes of a pyramid alone (to compare an exported network with).

    That is the whole of SOLO's, the mask features of CondInst's and the prototypes of YOLACT's.
    """
    head = getattr(network, 'mask_head', None)
    if head is None:
        return []
    required = [p for p in inspect.signature(head.forward).parameters.values() if p.default is p.empty]
    if len(required) == 1:
        return [head(feats)]
    if hasattr(head, 'mask_feature_head'):
        return [head.mask_feature_head(feats)]
    return [head.protonet(feats[0])] if hasattr(head, 'protonet') else []
