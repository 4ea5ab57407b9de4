"""Object detection with mmdet's DETR and its relatives, whose decoders answer queries."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from mmdet.models.detectors import DINO, DetectionTransformer
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import TASKS
from ..taps import Alias, Taps
from .detection import DetectionTask, tensors_in
from .detection_facts import blank_samples
from .query_decoder import DecoderBehind, decoder_aliases, head_outputs

_PASSES = (DetectionTransformer.forward_transformer, DINO.forward_transformer)
"""Passes through a transformer that read features and samples alone (not a text, as Grounding DINO's)."""


@TASKS.register_module()
class QueryDetectionTask(DetectionTask):
    """A DETR: Conditional, DAB, Deformable and DDQ-DETR, DINO.

    Its logits (N, Q, K) and boxes (N, Q, 4) are lists over the decoder's layers, of the queries that it detects by.
    Those of two networks are about other things, unless the methods see to it: one decoder answers the other's queries
    (KD-DETR), or predictions are matched (DETRDistill).
    """

    model_types: ClassVar[tuple[type, ...]] = (DetectionTransformer,)

    def aliases(self, network: nn.Module) -> dict[str, Alias]:
        """The maps that the encoder reads, and what decoder and head read and make."""
        own = decoder_aliases(network) if _is_known(network) else {}
        return {**super().aliases(network), **own}

    def check_logits(self, student: nn.Module, others: Mapping[str, nn.Module]) -> None:
        """All must be DETRs whose passes are known, with the same channels of classes."""
        for name, network in {'student': student, **others}.items():
            if not _is_known(network):
                raise UsageError(
                    f'{name}: a {type(network).__name__} answers no queries as a DETR does: {self.advice(network)}.'
                )
            mine, its = (getattr(net.bbox_head, 'cls_out_channels', None) for net in (student, network))
            if mine != its:
                raise UsageError(
                    f'{name} has {its} channels of classes and the student {mine}, as one has a background and the '
                    'other has none: give both heads the same `loss_cls.use_sigmoid`.'
                )

    def logits_loss(self, network: nn.Module, config: dict) -> dict:
        """Refuse: of two networks, the queries of one row have nothing in common."""
        raise self._unmatched(network)

    def check_shadow(self, network: nn.Module, name: str) -> None:
        """Refuse, for the same reason."""
        raise self._unmatched(network)

    def build_branch(self, network: nn.Module, config: dict | None) -> nn.Module:
        """Refuse, for the same reason."""
        raise self._unmatched(network)

    def logit_channels(self, network: nn.Module, name: str) -> int | None:
        """Refuse: predictions are matched by their classes and boxes together."""
        raise UsageError(
            f'{name}: the classes of a {type(network).__name__} cannot be matched by name: give both detectors the '
            'same classes, or distill features (f1, f2, …).'
        )

    def behind(self, network: nn.Module, paths: Sequence[str], name: str) -> nn.Module:
        """The decoder and the head, which answer queries of others."""
        if list(paths) != ['decoding'] or not _is_known(network):
            raise UsageError(
                f'{name}: a DETR goes on behind what its decoder reads, not behind {", ".join(paths)}: name '
                f"'{name}.decoding', of a DETR."
            )
        return DecoderBehind(network)

    def loss(self, network: nn.Module, inputs: Tensor, data_samples: list | None) -> dict[str, Tensor]:
        """As in training also where a check makes a step in evaluation: mmdet's loss reads what is made then alone."""
        parts = [network, *(getattr(network, name) for name in ('decoder', 'bbox_head') if hasattr(network, name))]
        modes = [part.training for part in parts]
        for part in parts:
            part.training = True  # their own flag; their layers are in the mode they were in
        try:
            return super().loss(network, inputs, data_samples)
        finally:
            for part, mode in zip(parts, modes):
                part.training = mode

    def forward_trunk(self, network: nn.Module, inputs: Tensor) -> Any:
        """The maps that the encoder reads, and samples of images without padding."""
        return self.forward_view(network, inputs, None)

    def forward_view(self, network: nn.Module, inputs: Tensor, samples: list | None) -> Any:
        """The maps that the encoder reads, and the samples, which tell the image from the padding."""
        return network.extract_feat(inputs), blank_samples(inputs) if samples is None else samples

    def forward_head(self, network: nn.Module, passed: Any, taps: Taps) -> None:
        """Encoder, decoder and head, as in inference; of a detector of another kind nothing."""
        if _is_known(network):
            _answers(network, *passed)

    def outputs(self, network: nn.Module, inputs: Tensor) -> list[Tensor]:
        """The maps that the encoder reads, and the head's outputs for the image's own queries."""
        features, samples = self.forward_trunk(network, inputs)
        return tensors_in([features, list(_answers(network, features, samples)) if _is_known(network) else []])

    def _unmatched(self, network: nn.Module) -> UsageError:
        kind = type(network).__name__
        sigmoid = getattr(getattr(network.bbox_head, 'loss_cls', None), 'use_sigmoid', True)
        end = '' if sigmoid else '_softmax'
        return UsageError(
            f'student: the queries of a {kind} are no places that two networks share, so its classes cannot be '
            f'distilled one by one: take `_base_/methods/kd_detr{end}.py`, by which both answer the same queries, or '
            f'`_base_/methods/detrdistill{end}.py`, which matches them, or {self.advice(network)}.'
        )


def _is_known(network: nn.Module) -> bool:
    return getattr(type(network), 'forward_transformer', None) in _PASSES


def _answers(network: nn.Module, features: Sequence[Tensor], samples: list) -> Sequence[Tensor]:
    return head_outputs(network.bbox_head, network.forward_transformer(features, samples))
