"""The images of a data set and their views, whatever wraps it."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import UsageError
from .batched import BatchedViews
from .views import RandomView, ViewSet


class Images:
    """The images behind a training set, and the views that it draws of them.

    Args:
        dataset (Dataset): A :class:`BatchedViews`, or mmpretrain's with a :class:`RandomView` in its pipeline; wrappers
            that keep the positions (``SeededDataset``, ``ContrastDataset``) are looked through.

    Raises:
        UsageError: If its views are not known.
    """

    def __init__(self, dataset: Any) -> None:
        while not isinstance(dataset, BatchedViews) and hasattr(dataset, 'dataset'):
            dataset = dataset.dataset
        self.dataset = dataset
        if isinstance(dataset, BatchedViews):
            self.views: ViewSet = dataset.views
            return
        transforms = getattr(getattr(dataset, 'pipeline', None), 'transforms', [])
        places = [i for i, transform in enumerate(transforms) if isinstance(transform, RandomView)]
        if not places:
            raise UsageError(
                'train_dataloader: a cached teacher needs to know the views: use --cache-teachers of tools/train.py, '
                'or shake_mm.RandomView in the pipeline, or shake_mm.BatchedViews.'
            )
        self._before, after = transforms[: places[0]], transforms[places[0] + 1 :]
        others = [t for t in self._before if not type(t).__name__.startswith('Load')]
        others += [t for t in after if type(t).__name__ != 'PackInputs']
        if others:
            raise UsageError(
                f'train_dataloader: a cached teacher knows the views of RandomView alone, but the pipeline has a '
                f'{type(others[0]).__name__} too: take it out, or leave out `cache`.'
            )
        self.views = transforms[places[0]].views(next(iter(self)).shape[:2])

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.dataset)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield every image (H, W, C) as it is before a view is drawn."""
        for position in range(len(self)):
            yield self._image(position)

    def _image(self, position: int) -> np.ndarray:
        if isinstance(self.dataset, BatchedViews):
            return self.dataset.dataset[position]['img']
        info = self.dataset.get_data_info(position)
        for transform in self._before:
            info = transform(info)
        return info['img']
