"""Which pipelines of mmpretrain can be drawn a batch at a time."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import UsageError
from ..registry import type_name
from .augment import KINDS as AUGMENTS
from .views import ACROSS, views_in

_CROPS = ('scale', 'crop_ratio_range', 'aspect_ratio_range', 'max_attempts')
_AS_IT_IS = dict(interpolation='bilinear', backend='cv2')


def batches_in(pipeline: Sequence[Mapping]) -> tuple[list[dict], dict[str, Any]]:
    """Read what a pipeline draws.

    Args:
        pipeline (list[dict]): Transforms that draw nothing; then what :func:`.views_in` reads, or one
            ``RandomResizedCrop`` and at most one ``RandomFlip``; then perhaps an ``AutoAugment`` or ``RandAugment``,
            and a ``Cutout``; then ``PackInputs``.

    Returns:
        tuple[list[dict], dict]: The transforms before those, and the config of the data set that draws as they do.

    Raises:
        UsageError: If it draws in another way.
    """
    own = [dict(transform) for transform in pipeline if type_name(transform['type']) != 'PackInputs']
    drawn: dict[str, Any] = {}
    if own and type_name(own[-1]['type']) == 'Cutout':
        drawn['cutout'] = _cutout(own.pop())
    if own and type_name(own[-1]['type']) in AUGMENTS:
        drawn['augment'] = own.pop()
    kinds = [type_name(transform['type']) for transform in own]
    if 'RandomResizedCrop' not in kinds:
        before, views = views_in(own)
        return before, dict(type='shake_mm.BatchedViews', **drawn, **views)
    place = kinds.index('RandomResizedCrop')
    other = [kind for kind in kinds[:place] if not str(kind).startswith('Load')]
    flips = own[place + 1 :]
    other += [kind for kind, flip in zip(kinds[place + 1 :], flips) if kind != 'RandomFlip' or not _is_across(flip)]
    if other or len(flips) > 1:
        raise UsageError(
            f'train_dataloader: the pipeline has a {(other or ["second RandomFlip"])[0]}, but batches are made of one '
            'RandomResizedCrop, one horizontal RandomFlip, an AutoAugment or RandAugment and a Cutout, in this order: '
            'take it out, or leave out --batched.'
        )
    drawn |= dict(flip_prob=flips[0]['prob']) if flips else {}
    return own[:place], dict(type='shake_mm.BatchedCrops', **drawn, **_crops(own[place]))


def _is_across(flip: Mapping[str, Any]) -> bool:
    return flip.get('direction') in ACROSS and isinstance(flip.get('prob'), int | float)


def _crops(transform: Mapping[str, Any]) -> dict[str, Any]:
    settings = {key: value for key, value in transform.items() if key != 'type'}
    for key, known in _AS_IT_IS.items():
        if settings.pop(key, known) != known:
            raise UsageError(
                f"train_dataloader: batches are resized with {key}='{known}' of RandomResizedCrop alone: set that, or "
                'leave out --batched.'
            )
    return _known(settings, _CROPS, 'RandomResizedCrop')


def _cutout(transform: Mapping[str, Any]) -> dict[str, Any]:
    settings = {key: value for key, value in transform.items() if key != 'type'}
    return _known(settings, ('shape', 'pad_val', 'prob'), 'Cutout')


def _known(settings: dict[str, Any], keys: Sequence[str], kind: str) -> dict[str, Any]:
    """Settings of which all are known.

    Raises:
        UsageError: If one is not, or the first one is missing.
    """
    if unknown := sorted(settings.keys() - set(keys)):
        raise UsageError(
            f'train_dataloader: {unknown[0]} of {kind} is unknown to batches: take it out, or leave out --batched.'
        )
    if settings.get(keys[0]) is None:
        raise UsageError(f'train_dataloader: a {kind} without {keys[0]} is unknown to batches: give it.')
    return settings
