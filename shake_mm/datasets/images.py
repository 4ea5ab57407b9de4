"""The images of a data set and their views, whatever wraps it."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..errors import UsageError
from .batched import BatchedViews
from .views import RandomView, ViewSet
from .wrapped import parts_of


class Images:
    """The images behind a training set, and the views that it draws of them.

    They count through all data sets that wrappers join, those of the first one first; what is repeated counts once.

    Args:
        dataset (Dataset): A :class:`BatchedViews`, or mmpretrain's with a :class:`RandomView` in its pipeline; wrappers
            whose items are those within (``SeededDataset``, ``ContrastDataset``, mmengine's) are looked through.

    Raises:
        UsageError: If its views are not known, or differ.
    """

    def __init__(self, dataset: Any) -> None:
        batched = _batched_in(dataset)
        if batched is not None:
            if batched.after:
                raise UsageError(
                    'train_dataloader: a cached teacher knows views of crops and flips alone, but BatchedViews does '
                    f'`{next(iter(batched.after))}` too: take it out, or leave out `cache`.'
                )
            self._parts, self._draws = batched.parts, []
            self.views: ViewSet = batched.views
            return
        self._parts = parts_of(dataset)
        self._draws = [_draw_of(part) for part in self._parts]
        size = next(self._raw()).shape[:2]
        first, *others = [part.pipeline.transforms[place].views(size) for part, place in zip(self._parts, self._draws)]
        if any(other.describe() != first.describe() for other in others):
            raise UsageError(
                'train_dataloader: the joined data sets have different views, and a cached teacher knows those of one '
                'RandomView: give all the same pipeline, or leave out `cache`.'
            )
        self.views = first

    def __len__(self) -> int:
        """Return the number of images."""
        return sum(map(len, self._parts))

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield every image (H, W, C) as it is before a view is drawn; gray ones (H, W) as (H, W, 1).

        Raises:
            UsageError: If they are not of one size.
        """
        for image in self._raw():
            if image.shape[:2] != self.views.size:
                raise UsageError(
                    f'train_dataloader: a cached teacher needs images of one size, and these are of '
                    f'{self.views.size} and {image.shape[:2]}: resize them beforehand, or leave out `cache`.'
                )
            yield image[..., None] if image.ndim == 2 else image

    def number(self) -> None:
        """Let samples of joined data sets say which of all the images they are, and not which of their own."""
        first = 0
        for part, place in zip(self._parts, self._draws):
            part.pipeline.transforms[place].first = first
            first += len(part)

    def _raw(self) -> Iterator[np.ndarray]:
        if not self._draws:  # of a BatchedViews, whose pipeline makes no views
            yield from (part[position]['img'] for part in self._parts for position in range(len(part)))
        for part, place in zip(self._parts, self._draws):
            for position in range(len(part)):
                info = part.get_data_info(position)
                for transform in part.pipeline.transforms[:place]:
                    info = transform(info)
                yield info['img']


def _batched_in(dataset: Any) -> BatchedViews | None:
    while not isinstance(dataset, BatchedViews):
        dataset = getattr(dataset, '__dict__', {}).get('dataset')
        if dataset is None:
            return None
    return dataset


def _draw_of(dataset: Any) -> int:
    """The place of the transform that draws the views; the others must draw nothing."""
    transforms: Sequence[Any] = getattr(getattr(dataset, 'pipeline', None), 'transforms', [])
    places = [i for i, transform in enumerate(transforms) if isinstance(transform, RandomView)]
    if not places:
        raise UsageError(
            'train_dataloader: a cached teacher needs to know the views: use --cache-teachers of tools/train.py, '
            'or shake_mm.RandomView in the pipeline, or shake_mm.BatchedViews.'
        )
    others = [t for t in transforms[: places[0]] if not type(t).__name__.startswith('Load')]
    others += [t for t in transforms[places[0] + 1 :] if type(t).__name__ != 'PackInputs']
    if others:
        raise UsageError(
            f'train_dataloader: a cached teacher knows the views of RandomView alone, but the pipeline has a '
            f'{type(others[0]).__name__} too: take it out, or leave out `cache`.'
        )
    return places[0]
