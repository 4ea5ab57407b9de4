"""Object detection with mmdet."""

from collections.abc import Mapping
from typing import Any

import torch
from mmdet.models.detectors import SingleStageDetector, TwoStageDetector
from mmdet.models.detectors.base import BaseDetector
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
from mmengine.model import BaseModule, ModuleList
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import TASKS
from ..taps import Alias, Taps
from .base import Task
from .branch import ClassificationBranch, LogitsOnly, check_separable, pyramid


@TASKS.register_module()
class DetectionTask(Task):
    """Any mmdet detector: its features can be distilled, and the levels of its pyramid are ``f1``, ``f2`` and so on."""

    model_types = (BaseDetector,)
    trunk = ('backbone', 'neck')
    input_size = 256
    pads = True

    def aliases(self, network: nn.Module) -> dict[str, Alias]:
        """The levels of the pyramid, and what the head reads and makes."""
        last = 'neck' if network.with_neck else 'backbone'
        return {f'f{i + 1}': f'{last}[{i}]' for i in range(self.levels(network))}

    def levels(self, network: nn.Module) -> int:
        """Number of levels of the pyramid, 0 if the network does not tell."""
        return getattr(getattr(network, 'neck', None), 'num_outs', 0)

    def check_teacher(
        self, student: nn.Module, teacher: nn.Module, name: str, *, resized: bool = False, trained: bool = False
    ) -> None:
        """A teacher must be a detector that sees images of the same size."""
        if not isinstance(teacher, BaseDetector):
            raise UsageError(f'{name} is a {type(teacher).__name__}, but the student detects: give an mmdet detector.')
        if resized:
            raise UsageError(f'{name}: a detector sees the image as the student does: remove `resize`.')

    def check_logits(self, student: nn.Module, others: Mapping[str, nn.Module]) -> None:
        """Refuse: nothing is known of the classes of these detectors."""
        raise UsageError(
            f'student: {type(student).__name__} has no classes that could be distilled: the queries of a DETR, say, '
            'are no places that two networks share: distil features (f1, f2, …).'
        )

    def forward_trunk(self, network: nn.Module, inputs: Tensor) -> Any:
        """The pyramid of the backbone and neck."""
        return network.extract_feat(inputs)

    def heavy_layers(self, network: nn.Module) -> list[nn.Module]:
        """Backbone and neck, which take and give tensors."""
        return [network.backbone, *([network.neck] if network.with_neck else [])]

    def build_branch(self, network: nn.Module, config: dict | None) -> nn.Module:
        """There is none, and the error says so."""
        return self.check_logits(network, {})

    def outputs(self, network: nn.Module, inputs: Tensor) -> list[Tensor]:
        """The levels of the pyramid, one by one."""
        return list(network.extract_feat(inputs))

    def num_classes(self, network: nn.Module) -> int | None:
        """The number that the first head states, if one does."""
        return next((head.num_classes for head in self.heads(network) if hasattr(head, 'num_classes')), None)

    def heads(self, network: nn.Module) -> list[nn.Module]:
        """The box head, or the RoI head's of each stage."""
        head = getattr(getattr(network, 'roi_head', network), 'bbox_head', None)
        return list(head) if isinstance(head, nn.ModuleList) else [] if head is None else [head]


@TASKS.register_module()
class DenseDetectionTask(DetectionTask):
    """A detector that classifies every place of a pyramid: RetinaNet, FCOS, ATSS, GFL, RTMDet, YOLOX and others.

    Its logits are a list over levels of maps (N, A * C, H, W), with A priors per place. A head runs where a term reads
    its logits; the shadow is a copy of its classification tower and predictor on the student's own pyramid.
    """

    model_types = (SingleStageDetector,)
    logit_outputs = ('bbox_head[0]',)

    def aliases(self, network: nn.Module) -> dict[str, Alias]:
        """The levels of the pyramid, and what the head reads and makes."""
        own: dict[str, Alias] = {'feats': 'bbox_head:input'}
        own['logits'] = tuple(f'bbox_head[0][{i}]' for i in range(self.levels(network)))
        return {**super().aliases(network), **own}

    def levels(self, network: nn.Module) -> int:
        """As many as the head has strides, else as the neck gives."""
        return len(_strides(getattr(network, 'bbox_head', None))) or super().levels(network)

    def check_logits(self, student: nn.Module, others: Mapping[str, nn.Module]) -> None:
        """Classes must be separable, and those of the others be of the same priors."""
        for name, network in {'student': student, **others}.items():
            if not _strides(getattr(network, 'bbox_head', None)):
                raise UsageError(
                    f'{name}: a {type(network).__name__} does not classify the places of a pyramid of stated strides: '
                    'distil features (f1, f2, …).'
                )
            check_separable(network.bbox_head, self._features(network), name)
        head = student.bbox_head
        for name, other in others.items():
            theirs = other.bbox_head
            for what in (_strides, _priors, _anchors, _channels):
                mine, its = what(head), what(theirs)
                if mine != its and None not in (mine, its):
                    words = str(what.__doc__).rstrip('.').lower()
                    raise UsageError(
                        f'{name} has {words} {its} and the student {mine}: logits can only be compared at the same '
                        'places, give both detectors the same.'
                    )

    def heavy_layers(self, network: nn.Module) -> list[nn.Module]:
        """Backbone, neck and the head, also convolutions; a teacher of another kind may have none of that name."""
        return [*super().heavy_layers(network), *([network.bbox_head] if hasattr(network, 'bbox_head') else [])]

    def forward_head(self, network: nn.Module, passed: Any, taps: Taps) -> None:
        """Run the head on the pyramid."""
        network.bbox_head(passed)

    def logits_only(self, network: nn.Module) -> LogitsOnly:
        """The towers of the boxes are left out."""
        return LogitsOnly(network.bbox_head, self._features(network))

    def build_branch(self, network: nn.Module, config: dict | None) -> nn.Module:
        """The classification tower and predictor of the head."""
        return ClassificationBranch(network.bbox_head, self._features(network))

    def logits_loss(self, network: nn.Module, config: dict) -> dict:
        """Of Bernoulli or categorical distributions at every place, weighed by the teacher's confidence."""
        head = network.bbox_head
        kind = 'sigmoid' if getattr(head, 'use_sigmoid_cls', True) else 'softmax'
        return {'type': 'DenseKLLoss', 'num_classes': head.cls_out_channels, 'activation': kind, **config}

    def outputs(self, network: nn.Module, inputs: Tensor) -> list[Tensor]:
        """All outputs of the head, level by level."""
        return [level for output in network.bbox_head(network.extract_feat(inputs)) for level in output]

    def _features(self, network: nn.Module) -> tuple[Tensor, ...]:
        channels, levels = network.bbox_head.in_channels, self.levels(network)
        channels = [channels] * levels if isinstance(channels, int) else list(channels)
        return pyramid(channels, next(network.parameters()).device)


@TASKS.register_module()
class RoIDetectionTask(DetectionTask):
    """A detector whose head classifies boxes: Faster, Mask and Cascade R-CNN.

    Teacher and shadow classify the boxes that the student has sampled, so that row i of all logits (R, K + 1) is about
    the same box. A teacher runs its backbone, its neck and its RoI head, nothing else. A cascade's logits are a list
    over its stages.
    """

    model_types = (TwoStageDetector,)
    guides = ('student.rois',)

    def aliases(self, network: nn.Module) -> dict[str, Alias]:
        """The levels of the pyramid, and what the head reads and makes."""
        own = {'logits': 'bbox_head{}[0]', 'feats': 'bbox_head{}:input', 'rois': 'bbox_roi_extractor{}:inputs[1]'}
        layers = {name: f'roi_head.{layer}' for name, layer in own.items()}
        aliases = super().aliases(network)
        if not isinstance(getattr(network, 'roi_head', None), CascadeRoIHead):
            return {**aliases, **{name: layer.format('') for name, layer in layers.items()}}
        stages = range(network.roi_head.num_stages)
        return {**aliases, **{name: tuple(layer.format(f'.{i}') for i in stages) for name, layer in layers.items()}}

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
        plain = (StandardRoIHead._bbox_forward, CascadeRoIHead._bbox_forward)
        for name, network in {'student': student, **others}.items():
            head = getattr(network, 'roi_head', None)
            if getattr(type(head), '_bbox_forward', None) not in plain:
                kind = type(network if head is None else head).__name__
                raise UsageError(f'{name}: a {kind} does not classify given boxes alone: distil features (f1, f2, …).')
            mine, theirs = len(self.heads(student)), len(self.heads(network))
            if mine != theirs:
                raise UsageError(f'{name} has {theirs} stages and the student {mine}: give both the same RoI head.')

    def forward_head(self, network: nn.Module, passed: Any, taps: Taps) -> None:
        """The RoI head on the student's boxes."""
        boxes, head = taps.value('student.rois'), network.roi_head
        if isinstance(boxes, list):
            for stage, own in enumerate(boxes):
                head._bbox_forward(stage, passed, own)
        else:
            head._bbox_forward(passed, boxes)

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
        """The mean over boxes; a cascade's stages are weighed as its own losses are."""
        heads = self.heads(network)
        kind = {'type': 'KLDivLoss'}
        if getattr(heads[0].loss_cls, 'use_sigmoid', False):
            channels = heads[0].fc_cls.out_features
            kind = {'type': 'DenseKLLoss', 'num_classes': channels, 'activation': 'sigmoid', 'weighting': 'uniform'}
        if not isinstance(network.roi_head, CascadeRoIHead):
            return {**kind, **config}
        weights = [float(weight) for weight in network.roi_head.stage_loss_weights]
        return {'type': 'StagewiseLoss', 'loss': {**kind, **config}, 'weights': weights}

    def outputs(self, network: nn.Module, inputs: Tensor) -> list[Tensor]:
        """The RPN's outputs, and the box heads' for one box per image."""
        features = network.extract_feat(inputs)
        height, width = inputs.shape[2:]
        box = inputs.new_tensor([0, 0, width / 2, height / 2]).expand(len(inputs), -1)
        boxes = torch.cat([torch.arange(len(inputs), device=box.device)[:, None].to(box), box], dim=1)
        head = network.roi_head
        cascade = isinstance(head, CascadeRoIHead)
        stages = [(stage,) for stage in range(head.num_stages)] if cascade else [()]
        results = [head._bbox_forward(*stage, features, boxes) for stage in stages]
        proposals = [level for output in network.rpn_head(features) for level in output] if network.with_rpn else []
        return [*proposals, *(result[key] for result in results for key in ('cls_score', 'bbox_pred'))]

    def levels(self, network: nn.Module) -> int:
        """As many as the neck gives, else as the RPN reads."""
        return super().levels(network) or (len(_strides(network.rpn_head)) if network.with_rpn else 0)


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


def _roi_features(head: nn.Module) -> Tensor:
    return torch.zeros(2, head.in_channels, *head.roi_feat_size, device=next(head.parameters()).device)


def _strides(head: nn.Module | None) -> list[tuple[int, int]]:
    """Strides."""
    strides = getattr(getattr(head, 'prior_generator', None), 'strides', None) or ()
    return [(s, s) if isinstance(s, int) else (int(s[0]), int(s[1])) for s in strides]


def _priors(head: nn.Module) -> list[int] | None:
    """Priors per place."""
    numbers = getattr(getattr(head, 'prior_generator', None), 'num_base_priors', None)
    return None if numbers is None else list(numbers)


def _anchors(head: nn.Module) -> list | None:
    """Anchors."""
    anchors = getattr(getattr(head, 'prior_generator', None), 'base_anchors', None)
    return None if anchors is None else [[[round(v, 2) for v in box] for box in level.tolist()] for level in anchors]


def _channels(head: nn.Module) -> int | None:
    """Class channels."""
    return getattr(head, 'cls_out_channels', None)
