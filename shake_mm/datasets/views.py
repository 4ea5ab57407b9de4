"""The finite set of views that padding, a random crop and a random flip make of an image, and how one is drawn."""

from collections.abc import Mapping, Sequence
from typing import Any

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform

from ..errors import UsageError
from ..registry import TRANSFORMS, type_name


class ViewSet:
    """All views of images of one size: their crops, each as it is and, with a flip, mirrored.

    View ``(top * lefts + left) * flips + mirrored`` is the crop whose upper left corner is at ``(top, left)`` of the
    padded image. CIFAR's recipe, 32×32 images padded by 4, has 9 · 9 · 2 = 162 of them.

    Args:
        size (tuple[int, int]): Height and width of the images.
        crop_size (int | tuple[int, int], optional): Height and width of a view. Defaults to the images'.
        padding (int | Sequence[int]): Pixels on each border, or left/right and top/bottom, or left, top, right and
            bottom, as mmpretrain's ``RandomCrop`` has them. Defaults to 0.
        pad_val (float | Sequence[float]): Value of the padding, as ``mmcv.impad`` takes it. Defaults to 0.
        flip_prob (float): How often a view is mirrored. Defaults to 0: never.

    Raises:
        UsageError: If a view is larger than a padded image, or the probability is not one.
    """

    def __init__(
        self,
        size: tuple[int, int],
        crop_size: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        pad_val: float | Sequence[float] = 0,
        flip_prob: float = 0.0,
    ) -> None:
        self.size = tuple(size)
        self.crop = self.size if crop_size is None else _pair(crop_size)
        self.padding, self.pad_val, self.flip_prob = _borders(padding), pad_val, flip_prob
        left, top, right, bottom = self.padding
        self.padded = (size[0] + top + bottom, size[1] + left + right)
        self.tops, self.lefts = (whole - part + 1 for whole, part in zip(self.padded, self.crop))
        self.flips = 2 if flip_prob > 0 else 1
        if min(self.tops, self.lefts) < 1:
            raise UsageError(
                f'crop_size={self.crop} is larger than the images, {self.size} with their padding: '
                'choose a smaller one, or pad more.'
            )
        if not 0 <= flip_prob <= 1:
            raise UsageError(f'flip_prob={flip_prob} is not a probability: choose one from 0 to 1.')

    def __len__(self) -> int:
        """Return the number of views of an image."""
        return self.tops * self.lefts * self.flips

    def describe(self) -> dict[str, Any]:
        """What makes two sets of views the same, as plain values (how often a view is drawn does not count)."""
        return dict(
            size=list(self.size),
            crop_size=list(self.crop),
            padding=list(self.padding),
            pad_val=self.pad_val,
            flip=self.flips == 2,
        )

    def pick(self, draws: np.ndarray) -> np.ndarray:
        """Turn uniform numbers of shape (N, 3), from [0, 1), into views of shape (N,), int64."""
        top = (draws[:, 0] * self.tops).astype(np.int64)
        left = (draws[:, 1] * self.lefts).astype(np.int64)
        return (top * self.lefts + left) * self.flips + (draws[:, 2] < self.flip_prob)

    def place(self, view: Any) -> tuple[Any, Any, Any]:
        """Top, left and whether mirrored (0 or 1) of a view, or of an array or tensor of views."""
        corner, mirrored = view // self.flips, view % self.flips
        return corner // self.lefts, corner % self.lefts, mirrored

    def pad(self, images: np.ndarray) -> np.ndarray:
        """Pad images (N, H, W, C) as mmpretrain does."""
        left, top, _, _ = self.padding
        # One frame by mmcv, whose `pad_val` means the first channel alone where it is a number.
        frame = mmcv.impad(np.zeros_like(images[0]), padding=self.padding, pad_val=self.pad_val)
        padded = np.tile(frame.reshape(*self.padded, -1), (len(images), 1, 1, 1))
        padded[:, top : top + self.size[0], left : left + self.size[1]] = images
        return padded

    def show(self, image: np.ndarray, view: int) -> np.ndarray:
        """One view of one image (H, W, C), or (H, W) of a gray one."""
        if image.ndim == 2:  # gray
            return self.show(image[..., None], view)[..., 0]
        top, left, mirrored = self.place(view)
        shown = self.pad(image[None])[0, top : top + self.crop[0], left : left + self.crop[1]]
        return np.ascontiguousarray(shown[:, ::-1] if mirrored else shown)


@TRANSFORMS.register_module()
class RandomView(BaseTransform):
    """Pad, crop and mirror at random, as ``RandomCrop`` and ``RandomFlip`` do, and remember which view was drawn.

    It writes ``view_idx``, which ``PackInputs`` has to hand on beside the ``sample_idx``::

        pipeline = [
            dict(type='shake_mm.RandomView', crop_size=32, padding=4, flip_prob=0.5),
            dict(type='PackInputs', meta_keys=('sample_idx', 'view_idx')),
        ]

    Where several data sets are joined, :attr:`first` tells their images apart.

    No random transform may come beside it where a teacher's logits are kept by view.

    Args:
        crop_size (int | tuple[int, int], optional): See :class:`ViewSet`, as the other arguments.
        padding (int | Sequence[int]): See :class:`ViewSet`.
        pad_val (float): See :class:`ViewSet`.
        flip_prob (float): See :class:`ViewSet`.

    Attributes:
        first (int): Is added to the ``sample_idx``.
    """

    def __init__(self, **views: Any) -> None:
        self.first = 0
        self.settings = views
        self._sets: dict[tuple[int, int], ViewSet] = {}

    def views(self, size: tuple[int, int]) -> ViewSet:
        """The views of images of a size."""
        if size not in self._sets:
            self._sets[size] = ViewSet(size, **self.settings)
        return self._sets[size]

    def transform(self, results: dict) -> dict:
        """Replace ``img`` by a view of it."""
        views = self.views(results['img'].shape[:2])
        view = int(views.pick(np.random.random_sample((1, 3)))[0])
        img = views.show(results['img'], view)
        if self.first:
            results = {**results, 'sample_idx': results['sample_idx'] + self.first}
        return {**results, 'img': img, 'img_shape': img.shape[:2], 'view_idx': view}


def views_in(pipeline: Sequence[Mapping]) -> tuple[list[dict], dict[str, Any]]:
    """Read the views that a pipeline of mmpretrain makes.

    Args:
        pipeline (list[dict]): Transforms that draw nothing, then at most one ``RandomCrop`` and one ``RandomFlip``
            (or a ``RandomView``), then ``PackInputs``.

    Returns:
        tuple[list[dict], dict]: The transforms before those, and the arguments of :class:`RandomView`.

    Raises:
        UsageError: If it draws in another way, which gives other views.
    """
    before: list[dict] = []
    views: dict[str, Any] = {}
    for transform in pipeline:
        kind, settings = type_name(transform['type']), {k: v for k, v in transform.items() if k != 'type'}
        if kind == 'PackInputs':
            continue
        if kind == 'RandomView' and not views:
            views = settings
        elif kind == 'RandomCrop' and not views and not settings.pop('pad_if_needed', False):
            settings.pop('padding_mode', None)  # of `pad_if_needed` alone: RandomCrop pads by a constant otherwise
            views = {**settings, 'padding': settings.get('padding') or 0}
        elif kind == 'RandomFlip' and 'flip_prob' not in views and settings.pop('direction', None) in ACROSS:
            views['flip_prob'] = settings['prob']
        elif str(kind).startswith('Load') and not views:
            before.append(dict(transform))
        else:
            raise UsageError(
                f'train_dataloader: the pipeline has a {kind}, but views are made by one RandomCrop and one '
                'horizontal RandomFlip alone: take it out, or leave out --batched and --cache-teachers.'
            )
    return before, views


ACROSS = ('horizontal', None)


def _pair(size: int | Sequence[int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _borders(padding: int | Sequence[int]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom."""
    if isinstance(padding, int):
        return (padding,) * 4
    left, top, right, bottom = (*padding, *padding) if len(padding) == 2 else padding
    return left, top, right, bottom
