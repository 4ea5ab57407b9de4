"""Object detection with mmdet."""

import inspect
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

from mmdet.models.dense_heads import GuidedAnchorHead
from mmdet.models.detectors import SingleStageDetector
from mmdet.models.detectors.base import BaseDetector
from mmdet.models.detectors.single_stage_instance_seg import SingleStageInstanceSegmentor
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import TASKS
from ..taps import Alias, Combined, Taps
from .base import Task
from .branch import ClassificationBranch, LogitsOnly, as_in_training, check_logits, pyramid
from .detection_boxes import box_aliases
from .detection_facts import facts_of_samples
from .detection_levels import count_levels
from .detection_logits import classes_of, logits_of, weight_of
from .detection_masks import mask_outputs
from .detection_places import PLACES, strides_of
from .detection_targets import NOTED, check_targets, noting_targets
from .detection_tower import WholeHead, head_behind, tower_aliases


@TASKS.register_module()
class DetectionTask(Task):
    """Any mmdet detector: its features can be distilled, and the levels of its pyramid are ``f1``, ``f2`` and so on."""

    model_types: ClassVar[tuple[type, ...]] = (BaseDetector,)
    measured_by = 'metrics'
    trunk = ('backbone', 'neck')
    input_size = 256
    pads = True

    def aliases(self, network: nn.Module) -> dict[str, Alias]:
        """The levels of the pyramid, and what the head reads and makes."""
        last = 'neck' if network.with_neck else 'backbone'
        return {f'f{i + 1}': f'{last}[{i}]' for i in range(self.levels(network))}

    def levels(self, network: nn.Module) -> int:
        """Number of levels of the pyramid, 0 if it is not known."""
        return getattr(getattr(network, 'neck', None), 'num_outs', 0) or count_levels(network)

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
            f'student: a {type(student).__name__} does not classify places or boxes that two networks share, so its '
            f'classes cannot be distilled: {self.advice(student)}.'
        )

    def advice(self, network: nn.Module) -> str:
        """What to distill of a network whose logits cannot be compared, by names that it has."""
        if self.levels(network):
            return 'distill features (f1, f2, …)'
        part = 'neck' if network.with_neck else 'backbone'
        return f"distill features, e.g. of='student.{part}[0]' to='teacher0.{part}[0]' with a connector"

    def forward_trunk(self, network: nn.Module, inputs: Tensor) -> Any:
        """The pyramid of the backbone and neck."""
        return network.extract_feat(inputs)

    def heavy_layers(self, network: nn.Module) -> list[nn.Module]:
        """Backbone and neck, which take and give tensors."""
        return [network.backbone, *([network.neck] if network.with_neck else [])]

    def build_branch(self, network: nn.Module, config: dict | None) -> nn.Module:
        """There is none, and the error says so."""
        return self.check_logits(network, {})

    def input_shape(self, config: Mapping[str, Any]) -> tuple[int, int, int]:
        """Large enough for a 3x3 kernel on the last level, of stride 128, and a multiple of that (for FPG)."""
        return 3, 384, 384

    def outputs(self, network: nn.Module, inputs: Tensor) -> list[Tensor]:
        """The levels of the pyramid, one by one."""
        return list(network.extract_feat(inputs))

    def batch_field(self, samples: Sequence[Any], name: str) -> Any:
        """Boxes, labels and sizes of the images, see :func:`~shake_mm.tasks.detection_facts.facts_of_samples`."""
        return facts_of_samples(samples, name)

    def num_classes(self, network: nn.Module) -> int | None:
        """The number that the first head states, if one does."""
        return next((head.num_classes for head in self.heads(network) if hasattr(head, 'num_classes')), None)

    def heads(self, network: nn.Module) -> list[nn.Module]:
        """The box head, or the RoI head's of each stage."""
        head = getattr(getattr(network, 'roi_head', network), 'bbox_head', None)
        return list(head) if isinstance(head, nn.ModuleList) else [] if head is None else [head]


@TASKS.register_module()
class DenseDetectionTask(DetectionTask):
    """A detector that classifies every place of a pyramid: RetinaNet, FCOS, ATSS, GFL, RTMDet, YOLOX, YOLACT, ….

    Its logits are a list over levels of maps (N, A * C, H, W), with A priors per place. A head runs where a term reads
    its logits; the shadow is a copy of its classification tower and predictor on the student's own pyramid.
    """

    model_types: ClassVar[tuple[type, ...]] = (SingleStageDetector, SingleStageInstanceSegmentor)
    logit_outputs: ClassVar[tuple[str, ...]] = ('bbox_head[0]',)
    noted = NOTED

    def aliases(self, network: nn.Module) -> dict[str, Alias]:
        """The levels of the pyramid, and what the head reads and makes."""
        own: dict[str, Alias] = {'feats': 'bbox_head:input'}
        own['logits'] = tuple(f'bbox_head[0][{i}]' for i in range(self.levels(network)))
        head = getattr(network, 'bbox_head', None)
        own |= {**box_aliases(head, self.levels(network)), **tower_aliases(head)}
        rule = logits_of(head)
        if not rule.plain:
            own['logits'] = Combined(tuple(f'bbox_head[{i}]' for i in rule.outputs), rule.read)
        return {**super().aliases(network), **own}

    def levels(self, network: nn.Module) -> int:
        """As many as the head has strides, else as the neck gives."""
        return len(strides_of(getattr(network, 'bbox_head', None))) or super().levels(network)

    def check_logits(self, student: nn.Module, others: Mapping[str, nn.Module]) -> None:
        """Classes must be separable, and those of the others be of the same priors."""
        for name, network in {'student': student, **others}.items():
            head, kind = getattr(network, 'bbox_head', None), type(network).__name__
            if isinstance(head, GuidedAnchorHead):
                raise UsageError(
                    f'{name}: a {type(head).__name__} guesses its anchors anew for every image, and two networks guess '
                    f'other ones: {self.advice(network)}.'
                )
            if hasattr(network, 'panoptic_head'):
                raise UsageError(
                    f'{name}: the queries of a {kind} are no places that two networks share, and its decoder, which '
                    f'predicts masks, answers no queries of another: {self.advice(network)}.'
                )
            if not strides_of(head):
                raise UsageError(
                    f'{name}: a {kind} does not classify the places of a pyramid of stated strides: '
                    f'{self.advice(network)}.'
                )
            check_logits(head, self._features(network), name)
        head = student.bbox_head
        for name, other in others.items():
            theirs = other.bbox_head
            for words, fact in PLACES.items():
                mine, its = fact(head), fact(theirs)
                if mine != its and None not in (mine, its):
                    raise UsageError(
                        f'{name} has {words} {its} and the student {mine}: logits can only be compared at the same '
                        'places, give both detectors the same.'
                    )

    def behind(self, network: nn.Module, paths: Sequence[str], name: str) -> nn.Module:
        """The head behind all levels of the pyramid, or the rest of it behind both of its towers."""
        if list(paths) == [f'f{i + 1}' for i in range(self.levels(network))]:
            return WholeHead(network.bbox_head)
        return head_behind(network, paths, name)

    def noting(self, network: nn.Module, names: Collection[str]) -> AbstractContextManager[dict[str, Any]]:
        """Where the head's own loss sees objects: ``places``, and ``valuable_places`` around them."""
        return noting_targets(getattr(network, 'bbox_head', None), names)

    def check_facts(self, network: nn.Module, names: Collection[str]) -> None:
        """What a loss asks for of the assignment must be what the head assigns by."""
        check_targets(getattr(network, 'bbox_head', None), names)

    def logit_channels(self, network: nn.Module, name: str) -> int | None:
        """With the background where a softmax has one."""
        return getattr(network.bbox_head, 'cls_out_channels', self.num_classes(network))

    def heavy_layers(self, network: nn.Module) -> list[nn.Module]:
        """Backbone, neck and the head, also convolutions; a teacher of another kind may have none of that name."""
        return [*super().heavy_layers(network), *([head] if (head := getattr(network, 'bbox_head', None)) else [])]

    def forward_head(self, network: nn.Module, passed: Any, taps: Taps) -> None:
        """Run the head on the pyramid."""
        network.bbox_head(passed)

    def logits_only(self, network: nn.Module) -> LogitsOnly:
        """The towers of the boxes are left out."""
        return LogitsOnly(network.bbox_head, self._features(network))

    def build_branch(self, network: nn.Module, config: dict | None) -> nn.Module:
        """The classification tower and predictor of the head."""
        return ClassificationBranch(network.bbox_head, self._features(network))

    def defaults_of(self, network: nn.Module) -> Mapping[str, Any]:
        """With what a divergence counts for a head of this kind."""
        return {**self.logits_defaults, **weight_of(getattr(network, 'bbox_head', None))}

    def logits_loss(self, network: nn.Module, config: dict) -> dict:
        """Of Bernoulli or categorical distributions at every place, weighed by the teacher's confidence."""
        channels, kind = classes_of(network.bbox_head)
        return {'type': 'DenseKLLoss', 'num_classes': channels, 'activation': kind, **config}

    def replaced(self, head: nn.Module, output: Any, logits: Tensor) -> Any:
        """An objectness beside the classes is certain then."""
        return logits_of(head).write(output, logits)

    def outputs(self, network: nn.Module, inputs: Tensor) -> list[Tensor]:
        """All outputs of the head, level by level; the pyramid where there is none; what tells of masks."""
        feats = network.extract_feat(inputs)
        head = getattr(network, 'bbox_head', None)
        boxes = tensors_in(feats) if head is None else dense_outputs(head, feats)
        return [*boxes, *tensors_in(mask_outputs(network, feats))]

    def raw_outputs(self, network: nn.Module, inputs: Tensor) -> dict[str, Tensor]:
        """Maps (N, A * C, H, W) of the head by mmdet's names, ``cls_scores_0``, ``bbox_preds_0``, …, and of masks."""
        feats = network.extract_feat(inputs)
        if getattr(network, 'bbox_head', None) is None:
            return super().raw_outputs(network, inputs)
        masks = tensors_in(mask_outputs(network, feats))
        return {**named_maps(network.bbox_head, feats), **{f'mask_{i}': value for i, value in enumerate(masks)}}

    def _features(self, network: nn.Module) -> tuple[Tensor, ...]:
        channels, levels = network.bbox_head.in_channels, self.levels(network)
        channels = [channels] * levels if isinstance(channels, int) else list(channels)
        return pyramid(channels, next(network.parameters()).device)


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors in nested lists, in their order."""
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in tensors_in(item)]
    return [value] if isinstance(value, Tensor) else []


def dense_outputs(head: nn.Module, features: tuple[Tensor, ...]) -> list[Tensor]:
    """All tensors that a dense head makes of a pyramid."""
    with as_in_training(head) if isinstance(head, GuidedAnchorHead) else nullcontext():
        return tensors_in(head(features))


def named_maps(head: nn.Module, features: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """The maps that a head makes of a pyramid, by the name that mmdet's ``loss_by_feat`` gives them, and their level.

    Args:
        head (nn.Module): A dense head of mmdet's.
        features (tuple[Tensor]): Levels (N, C, H, W).

    Returns:
        dict[str, Tensor]: Such as ``cls_scores_0``; ``maps_0`` where a head makes others than it names.
    """
    with as_in_training(head) if isinstance(head, GuidedAnchorHead) else nullcontext():
        outputs = head(features)
    groups = outputs if isinstance(outputs, tuple | list) else (outputs,)
    names = list(inspect.signature(head.loss_by_feat).parameters)[: len(groups)]
    if any(name.startswith('batch_') for name in names) or len(names) < len(groups):
        names, groups = ['maps'], (groups,)
    return {
        f'{name}_{level}': value
        for name, group in zip(names, groups, strict=True)
        for level, value in enumerate(tensors_in(group if isinstance(group, tuple | list) else [group]))
    }
