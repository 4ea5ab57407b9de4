"""Object detection with mmdet's two-stage detectors, which classify boxes."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch
from mmdet.models.detectors import TwoStageDetector
from mmdet.models.losses import SeesawLoss
from mmdet.models.roi_heads import (
    CascadeRoIHead,
    DoubleHeadRoIHead,
    HybridTaskCascadeRoIHead,
    MultiInstanceRoIHead,
    PISARoIHead,
    SCNetRoIHead,
    SparseRoIHead,
    StandardRoIHead,
)
from mmdet.structures.bbox import bbox2roi
from mmengine.model import BaseModule, ModuleList
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import TASKS
from ..taps import Alias, Combined, Taps
from .branch import ClassificationBranch
from .detection import DetectionTask, dense_outputs, tensors_in
from .detection_facts import blank_samples
from .detection_logits import logits_of
from .detection_masks import NOTED, check_mask_facts, forward_masks, mask_aliases, masks_of, noting_masks
from .detection_places import strides_of
from .detection_tail import shared_aliases

_PLAIN = (
    StandardRoIHead,
    CascadeRoIHead,
    DoubleHeadRoIHead,
    HybridTaskCascadeRoIHead,
    PISARoIHead,
    SCNetRoIHead,
)
"""RoI heads that classify given boxes by the features, and by what their own branches make of these."""

_GIVEN = 'does not classify given boxes alone'
_BRANCHES = {'with_semantic': ('semantic_head', 'semantic_feat'), 'with_glbctx': ('glbctx_head', 'glbctx_feat')}
"""Branches of HTC and SCNet whose features join those of the boxes: the layer and the argument, by what tells of it."""


@TASKS.register_module()
class RoIDetectionTask(DetectionTask):
    """A detector whose head classifies boxes: Faster, Mask and Cascade R-CNN.

    Teacher and shadow classify the boxes that the student has sampled, so that row i of all logits (R, K + 1) is about
    the same box. A teacher runs its backbone, its neck and its RoI head, nothing else. A cascade's logits are a list
    over its stages.
    """

    model_types = (TwoStageDetector,)
    guides = ('student.rois',)
    # At the papers' temperature, every box alike, the boxes of a small student suffer: docs/evidence_detectors.md.
    logits_defaults = {'tau': 1.0, 'weighting': 'confidence'}
    noted = NOTED

    def aliases(self, network: nn.Module) -> dict[str, Alias]:
        """The levels of the pyramid, and what the head reads and makes."""
        own = {'logits': 'bbox_head{}[0]', 'feats': 'bbox_head{}:input', 'rois': 'bbox_roi_extractor{}:inputs[1]'}
        cascade = isinstance(getattr(network, 'roi_head', None), CascadeRoIHead)
        stages = [f'.{i}' for i in range(network.roi_head.num_stages)] if cascade else ['']
        layers = {name: tuple(f'roi_head.{layer.format(stage)}' for stage in stages) for name, layer in own.items()}
        aliases: dict[str, Alias] = {name: each if cascade else each[0] for name, each in layers.items()}
        rules = [logits_of(head) for head in self.heads(network)]
        if any(not rule.plain for rule in rules):
            aliases['logits'] = Combined(layers['logits'], partial(_staged, [rule.read for rule in rules]))
        shared = [shared_aliases(head, f'roi_head.bbox_head{end}') for head, end in zip(self.heads(network), stages)]
        for name in set.intersection(*map(set, shared)) if shared else ():
            aliases[name] = tuple(own[name] for own in shared) if cascade else shared[0][name]
        return {**super().aliases(network), **aliases, **mask_aliases(getattr(network, 'roi_head', None))}

    def repeated(self, network: nn.Module) -> tuple[str, ...]:
        """Samplers that choose boxes by their losses (OHEM, PISA) let the head classify them all before.

        Double-Head takes the features of its boxes again, enlarged.
        """
        head = getattr(network, 'roi_head', None)
        samplers = getattr(head, 'bbox_sampler', None)
        names = {type(s).__name__ for s in (samplers if isinstance(samplers, (list, tuple)) else [samplers])}
        chosen = names & {'OHEMSampler', 'ScoreHLRSampler'} or isinstance(head, DoubleHeadRoIHead)
        return ('roi_head.bbox_roi_extractor', 'roi_head.bbox_head') if chosen else ()

    def logit_channels(self, network: nn.Module, name: str) -> int | None:
        """Refuse: boxes are refined by the class."""
        raise UsageError(
            f'{name}: a {type(network).__name__} has a box regressor for each class, so that its classes cannot be '
            'matched by name: give both detectors the same classes, or distill features (f1, f2, …).'
        )

    def check_teacher(
        self, student: nn.Module, teacher: nn.Module, name: str, *, resized: bool = False, trained: bool = False
    ) -> None:
        """A teacher must not train along, as it would sample boxes of its own."""
        super().check_teacher(student, teacher, name, resized=resized, trained=trained)
        if trained:
            raise UsageError(
                f"{name}: a trained two-stage detector samples boxes of its own, which are not the student's: "
                'remove `trainable`.'
            )

    def check_logits(self, student: nn.Module, others: Mapping[str, nn.Module]) -> None:
        """All must classify boxes in the same number of stages, by a pass that reads features and boxes alone."""
        plain = [kind._bbox_forward for kind in _PLAIN]
        for name, network in {'student': student, **others}.items():
            head = getattr(network, 'roi_head', None)
            if getattr(type(head), '_bbox_forward', None) not in plain:
                kind = type(network if head is None else head).__name__
                several = isinstance(head, MultiInstanceRoIHead)
                reason = 'finds several objects in a box, in any order' if several else _GIVEN
                raise UsageError(f'{name}: a {kind} {reason}: {self.advice(network)}.')
            loss = getattr(self.heads(network)[0], 'loss_cls', None)
            if getattr(loss, 'custom_activation', False) and not isinstance(loss, SeesawLoss):
                raise UsageError(
                    f'{name}: how a {type(loss).__name__} makes scores of logits is not known: {self.advice(network)}.'
                )
            mine, theirs = len(self.heads(student)), len(self.heads(network))
            if mine != theirs:
                raise UsageError(f'{name} has {theirs} stages and the student {mine}: give both the same RoI head.')

    def forward_head(self, network: nn.Module, passed: Any, taps: Taps) -> None:
        """The RoI head on the student's boxes."""
        boxes, head = taps.value('student.rois'), network.roi_head
        own = [_of_images(stage, len(passed[0])) for stage in ([boxes] if isinstance(boxes, Tensor) else boxes)]
        _classified(head, passed, own)
        if taps.is_read('student.mask_rois'):
            forward_masks(head, passed, taps)

    def guides_of(self, read: Sequence[str]) -> tuple[str, ...]:
        """The student's boxes, and those that its masks are of where a teacher's masks are read."""
        names = [tap.partition('.') for tap in read]
        masks = any(
            member != 'student' and path.startswith(('masks', 'roi_head.mask_head')) for member, _, path in names
        )
        return (*self.guides, *(['student.mask_rois'] if masks else []))

    def noting(self, network: nn.Module, names: Collection[str]) -> AbstractContextManager[dict[str, Any]]:
        """The classes of the boxes that masks are compared of: ``mask_labels``."""
        return noting_masks(getattr(network, 'roi_head', None), names)

    def check_facts(self, network: nn.Module, names: Collection[str]) -> None:
        """There must be masks of given boxes."""
        check_mask_facts(getattr(network, 'roi_head', None), names)

    def build_branch(self, network: nn.Module, config: dict | None) -> nn.Module:
        """The layers of the box head, or of each stage's, without those of the boxes."""
        branches = [ClassificationBranch(head, _roi_features(head)) for head in self.heads(network)]
        return StagedBranch(branches) if isinstance(network.roi_head, CascadeRoIHead) else branches[0]

    def proxy_logits(self, proxy: nn.Module, taps: Taps, stage: int) -> Tensor:
        """A cascade asks stage by stage, and what the later stages read is not there yet."""
        branch = getattr(proxy, 'head', None)
        if not isinstance(branch, StagedBranch):
            return super().proxy_logits(proxy, taps, stage)
        feats = taps.raw(f'{proxy.source}[{stage}]')
        return branch.branches[stage](feats if proxy.neck is None else proxy.neck(feats))

    def logits_loss(self, network: nn.Module, config: dict) -> dict:
        """The mean over boxes; a cascade's stages are weighed as its own losses are.

        With ``weighting='confidence'`` a box counts by the teacher's confidence that it holds an object, and with a
        ``threshold`` and ``gamma`` as :class:`~shake_mm.losses.DenseKLLoss` has them; the sum is divided by that of
        these weights, so that the number of background boxes does not count.
        """
        heads = self.heads(network)
        kind = {'type': 'KLDivLoss'}
        sigmoid = getattr(heads[0].loss_cls, 'use_sigmoid', False)
        if sigmoid or not {'weighting', 'gamma', 'threshold'}.isdisjoint(config):
            kind = {'type': 'DenseKLLoss', 'num_classes': heads[0].fc_cls.out_features}
            kind |= {'activation': 'sigmoid' if sigmoid else 'softmax', 'weighting': 'uniform'}
        if not isinstance(network.roi_head, CascadeRoIHead):
            return {**kind, **config}
        weights = [float(weight) for weight in network.roi_head.stage_loss_weights]
        return {'type': 'StagewiseLoss', 'loss': {**kind, **config}, 'weights': weights}

    def outputs(self, network: nn.Module, inputs: Tensor) -> list[Tensor]:
        """The RPN's outputs, and the box and mask heads' for one box per image; of queries, stage by stage."""
        if isinstance(network.roi_head, SparseRoIHead):
            return _queried(network, inputs)
        features = network.extract_feat(inputs)
        height, width = inputs.shape[2:]
        box = inputs.new_tensor([0, 0, width / 2, height / 2]).expand(len(inputs), -1)
        boxes = torch.cat([torch.arange(len(inputs), device=box.device)[:, None].to(box), box], dim=1)
        results = _classified(network.roi_head, features, [boxes] * len(self.heads(network)))
        proposals = _proposed(network.rpn_head, features, inputs) if network.with_rpn else []
        masks = masks_of(network.roi_head, features, boxes)
        scores = [[result['cls_score'], result.get('bbox_pred')] for result in results]
        return [*proposals, *tensors_in([scores, masks])]

    def replaced(self, head: nn.Module, output: Any, logits: Tensor) -> Any:
        """In the place of the head's own, whatever it computes them of."""
        return logits_of(head).write(output, logits)

    def levels(self, network: nn.Module) -> int:
        """As many as the neck gives, else as the RPN reads."""
        stated = getattr(getattr(network, 'neck', None), 'num_outs', 0)
        return stated or (len(strides_of(network.rpn_head)) if network.with_rpn else 0) or super().levels(network)


class StagedBranch(BaseModule):
    """The branches of a cascade's stages.

    Args:
        branches (list[ClassificationBranch]): In the order of the stages.
    """

    def __init__(self, branches: list[nn.Module]) -> None:
        super().__init__()
        self.branches = ModuleList(branches)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """The scores of every stage for its RoI features."""
        return [branch(x) for branch, x in zip(self.branches, features, strict=True)]

    def begin_behind(self, path: str, predictor: str | None = None) -> None:
        """Leave the first layers of each to the network's own, see :meth:`ClassificationBranch.begin_behind`."""
        for branch in self.branches:
            branch.begin_behind(path, predictor)


def _classified(head: nn.Module, features: tuple[Tensor, ...], boxes: Sequence[Tensor]) -> list[dict]:
    """What a RoI head makes of boxes (R, 5), given for each of its stages."""
    branches = {
        argument: getattr(head, layer)(features)[1]
        for fact, (layer, argument) in _BRANCHES.items()
        if getattr(head, fact, False)
    }
    if isinstance(head, CascadeRoIHead):
        return [head._bbox_forward(stage, features, own, **branches) for stage, own in enumerate(boxes)]
    return [head._bbox_forward(features, boxes[0])]


def _proposed(head: nn.Module, features: tuple[Tensor, ...], inputs: Tensor) -> list[Tensor]:
    """The outputs of an RPN; of one in stages, which has no `forward` (Cascade RPN), what it proposes."""
    if type(head).forward is not nn.Module.forward:
        return dense_outputs(head, features)
    return [each.bboxes for each in head.predict(features, blank_samples(inputs))]


def _queried(network: nn.Module, inputs: Tensor) -> list[Tensor]:
    """Scores and boxes of every stage of a head whose boxes go with queries (Sparse R-CNN)."""
    features, samples, head = network.extract_feat(inputs), blank_samples(inputs), network.roi_head
    proposals = network.rpn_head.predict(features, samples, rescale=False)
    boxes, queries = [each.bboxes for each in proposals], torch.stack([each.features for each in proposals])
    found: list[Tensor] = []
    for stage in range(head.num_stages):
        result = head._bbox_forward(stage, features, bbox2roi(boxes), queries, [each.metainfo for each in samples])
        boxes, queries = result['detached_proposals'], result['object_feats']
        found += [result['cls_score'], *boxes]
    return found


def _staged(reads: Sequence[Callable[[Tensor], Tensor]], *outputs: Tensor) -> Any:
    """The logits of a RoI head, or of each of its stages, of their outputs."""
    logits = [read(output) for read, output in zip(reads, outputs, strict=True)]
    return logits if len(logits) > 1 else logits[0]


def _of_images(boxes: Tensor, images: int) -> Tensor:
    """Boxes (R, 5) whose first column counts images: a TridentNet in training has each image once a branch."""
    return torch.cat([boxes[:, :1] % images, boxes[:, 1:]], dim=1)


def _roi_features(head: nn.Module) -> Tensor:
    channels = getattr(head, 'in_channels', None) or head.cls_in_channels
    size = head.roi_feat_size if isinstance(head.roi_feat_size, tuple) else (head.roi_feat_size,) * 2
    return torch.zeros(2, channels, *size, device=next(head.parameters()).device)
