"""Semantic segmentation with mmsegmentation, which is not imported: networks are known by their classes' names."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import TASKS
from ..taps import Alias, Taps
from ..utils import copy_module
from .base import Task
from .lookup import is_named

SEGMENTORS = ('mmseg.EncoderDecoder',)
WITHOUT_CLASSES = ('mmseg.DepthEstimator',)


@TASKS.register_module()
class SegmentationTask(Task):
    """Any mmsegmentation ``EncoderDecoder``: a backbone, perhaps a neck, and a head that classifies places of its map.

    Its logits are what the classifier of the decode head (``conv_seg``) makes, (N, K, H, W), at the head's own
    resolution in training and in evaluation: enlarging them, as the loss and the prediction do, adds no information.
    Of a cascade (OCRNet) they are the last head's. Auxiliary heads learn from the labels alone.
    """

    model_names = SEGMENTORS
    trunk = ('backbone', 'neck')
    measured_by = 'predictions'
    member_metric = 'shake_mm.MemberIoUMetric'
    input_size = 128
    pads = True

    def aliases(self, network: nn.Module) -> dict[str, Alias]:
        """The levels of the backbone, or of the neck, and what the classifier reads and makes."""
        last = 'neck' if getattr(network, 'with_neck', False) else 'backbone'
        indices = getattr(network.backbone, 'out_indices', ()) if hasattr(network, 'backbone') else ()
        number = getattr(network.neck, 'num_outs', 0) if last == 'neck' else len(indices)
        levels: dict[str, Alias] = {f'f{i + 1}': f'{last}[{i}]' for i in range(number)}
        place = self._place(network)
        return {
            'inputs': 'backbone:input',
            'logits': f'{place}.conv_seg',
            'feats': f'{place}.conv_seg:input',
            **levels,
        }

    def repeated(self, network: nn.Module) -> tuple[str, ...]:
        """A window that slides over an image runs all layers again and again."""
        return ('',) if (getattr(network, 'test_cfg', None) or {}).get('mode') == 'slide' else ()

    def num_classes(self, network: nn.Module) -> int | None:
        """What the decode head states."""
        return getattr(network, 'num_classes', None)

    def check_teacher(
        self, student: nn.Module, teacher: nn.Module, name: str, *, resized: bool = False, trained: bool = False
    ) -> None:
        """A teacher must be a segmentor of the same kind; it may see images of another size and train along."""
        if not is_named(teacher, SEGMENTORS):
            raise UsageError(
                f'{name} is a {type(teacher).__name__}, but the student segments: give an EncoderDecoder of '
                'mmsegmentation.'
            )

    def check_scores(self, network: nn.Module, name: str, learns: bool) -> None:
        """The classifier of the decode head must make what the network predicts by."""
        kind, head = type(network).__name__, self._head(network)
        if is_named(network, WITHOUT_CLASSES):
            raise UsageError(f'{name}: a {kind} predicts no classes: distill features (f1, f2, …).')
        if not self._classifies(network):
            raise UsageError(
                f'{name}: a {type(head).__name__} does not classify the places of a map by `conv_seg`: distill '
                'features (f1, f2, …).'
            )
        if self._predicts_by_it(network) is False:
            raise UsageError(
                f'{name}: a {type(head).__name__} does not predict by what its `conv_seg` makes: distill features (f1, '
                "f2, …), or name the layer that does in the entry's own taps=dict(logits=…)."
            )

    def check_logits(self, student: nn.Module, others: Mapping[str, nn.Module]) -> None:
        """All must make scores of as many channels in the same way."""
        mine = self._head(student)
        for name, network in others.items():
            its = self._head(network)
            for words, fact in (('channels', channels_of), ('activation', activation_of)):
                if fact(mine) != fact(its):
                    raise UsageError(
                        f'{name} has logits of the {words} {fact(its)} and the student of {fact(mine)}: give both '
                        'decode heads the same `out_channels` and `loss_decode`, or distill features.'
                    )

    def compares_members(self, network: nn.Module) -> bool:
        """Those whose logits are known; each then predicts for itself."""
        return self._classifies(network) and not is_named(network, WITHOUT_CLASSES)

    def forward_trunk(self, network: nn.Module, inputs: Tensor) -> Any:
        """The levels of the backbone and neck."""
        return network.extract_feat(inputs)

    def forward_head(self, network: nn.Module, passed: Any, taps: Taps) -> None:
        """The decode heads, not the auxiliary ones."""
        self._decode(network, passed)

    def heavy_layers(self, network: nn.Module) -> list[nn.Module]:
        """Backbone and neck: a head is asked by other names than its call."""
        return [network.backbone, *([network.neck] if getattr(network, 'with_neck', False) else [])]

    def build_branch(self, network: nn.Module, config: dict | None) -> nn.Module:
        """The classifier, initialized as mmsegmentation does it."""
        if not self._classifies(network):
            self.check_scores(network, 'student', True)
        classifier = copy_module(self._head(network).conv_seg).requires_grad_(True)
        nn.init.normal_(classifier.weight, std=0.01)
        if classifier.bias is not None:
            nn.init.zeros_(classifier.bias)
        return classifier

    def logits_loss(self, network: nn.Module, config: dict) -> dict:
        """Of every pixel whose label counts, softmax or sigmoids as the decode head learns."""
        head = self._head(network)
        own = dict(activation=activation_of(head), ignore_index=head.ignore_index, align_corners=network.align_corners)
        return {'type': 'PixelKLLoss', **own, **config}

    def logits_of(self, network: nn.Module, output: Any) -> Tensor:
        """Those of the decode head, which comes first."""
        return output[0] if isinstance(output, (tuple, list)) else output

    def outputs(self, network: nn.Module, inputs: Tensor) -> list[Tensor]:
        """The logits of every pixel, and the classes that are predicted."""
        samples = network(inputs, mode='predict')
        return [getattr(sample, key).data for sample in samples for key in ('seg_logits', 'pred_sem_seg')]

    def raw_outputs(self, network: nn.Module, inputs: Tensor) -> dict[str, Tensor]:
        """``logits`` (N, K, H, W) of every pixel; where ``test_cfg`` slides windows, the images are such windows."""
        size = tuple(int(side) for side in inputs.shape[2:])
        return {'logits': network.encode_decode(inputs, [dict(img_shape=size, pad_shape=size, ori_shape=size)])}

    def input_shape(self, config: Mapping[str, Any]) -> tuple[int, int, int]:
        """Large enough for the coarsest pooling of a pyramid."""
        backbone = config.get('backbone', {})
        size = backbone.get('img_size', self.input_size)
        height, width = (size, size) if isinstance(size, int) else size
        return backbone.get('in_channels', 3), height, width

    def heads(self, network: nn.Module) -> list[nn.Module]:
        """The classifier of the decode head."""
        return [self._head(network).conv_seg]

    def batch_field(self, samples: Sequence[Any], name: str) -> Tensor:
        """``gt_sem_seg``: the labels of the pixels, (N, 1, H, W); other names are fields of the samples."""
        key = 'gt_sem_seg' if name in ('gt_labels', 'label') else name
        if not all(key in sample for sample in samples) or not len(samples):
            raise UsageError(
                f"a loss asks for '{key}', which the samples do not hold: add it in the pipeline, or, where there are "
                'no labels, set ignore_index=None in the `divergence`.'
            )
        return torch.stack([getattr(sample.get(key), 'data', sample.get(key)) for sample in samples])

    def check_samples(self, network: nn.Module, samples: Sequence[Any]) -> None:
        """Labels must be classes of the network, or ignored."""
        head = self._head(network)
        for sample in samples:
            if 'gt_sem_seg' not in sample:
                raise UsageError('the samples hold no `gt_sem_seg`: add LoadAnnotations to the pipeline.')
            labels = sample.gt_sem_seg.data
            valid = labels[labels != (255 if head.ignore_index is None else head.ignore_index)]
            if valid.numel() and int(valid.max()) >= network.num_classes:
                raise UsageError(
                    f'{sample.get("seg_map_path") or "a sample"} has the label {int(valid.max())}, but the model knows '
                    f'0 to {network.num_classes - 1}: set `num_classes` of its heads, or reduce_zero_label of the data.'
                )

    def attach_predictions(self, samples: Sequence[Any], others: Mapping[str, Sequence[Any]]) -> None:
        """Put what every other member predicts into the student's samples, as the field ``member_samples``."""
        for i, sample in enumerate(samples):
            sample.set_field({name: predicted[i] for name, predicted in others.items()}, 'member_samples')

    @staticmethod
    def _place(network: nn.Module) -> str:
        """Where the head stands by which the network predicts."""
        several = isinstance(getattr(network, 'decode_head', None), nn.ModuleList)
        return f'decode_head.{len(network.decode_head) - 1}' if several else 'decode_head'

    def _head(self, network: nn.Module) -> nn.Module:
        return network.get_submodule(self._place(network))

    def _classifies(self, network: nn.Module) -> bool:
        return isinstance(getattr(self._head(network), 'conv_seg', None), nn.Module)

    def _decode(self, network: nn.Module, features: Any) -> Any:
        """What the decode heads make, as the network's plain pass."""
        heads = network.decode_head if isinstance(network.decode_head, nn.ModuleList) else [network.decode_head]
        output = heads[0](features)
        for head in heads[1:]:
            output = head(features, output)
        return output

    @torch.no_grad()
    def _predicts_by_it(self, network: nn.Module) -> bool | None:
        """Whether the head returns what its classifier makes; None where a small image cannot tell."""
        heard: list[Tensor] = []
        modes = {layer: layer.training for layer in network.modules()}
        handle = self._head(network).conv_seg.register_forward_hook(lambda *call: heard.append(call[-1]))
        weight = next(network.parameters())
        found = None
        with suppress(Exception):  # whatever a network does with a small image
            image = torch.zeros(1, 3, 64, 64, dtype=weight.dtype, device=weight.device)
            output = self.logits_of(network, network.eval()(image, mode='tensor'))
            found = bool(heard) and any(output is logits for logits in heard)
        handle.remove()
        for layer, training in modes.items():
            layer.training = training
        return found


def channels_of(head: nn.Module) -> int:
    """Number of channels of the logits: the classes, or 1 for two classes by one sigmoid."""
    return head.out_channels


def activation_of(head: nn.Module) -> str:
    """How a decode head learns: ``'softmax'``, or ``'sigmoid'`` where each class is by itself."""
    losses = head.loss_decode if isinstance(head.loss_decode, nn.ModuleList) else [head.loss_decode]
    sigmoid = next((loss.use_sigmoid for loss in losses if hasattr(loss, 'use_sigmoid')), False)
    return 'sigmoid' if sigmoid or head.out_channels == 1 else 'softmax'
