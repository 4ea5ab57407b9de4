"""Two small pictures side by side: a hundred classes from ten, drawn as often as asked for."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmpretrain.datasets import BaseDataset

from shake_mm.errors import UsageError

from .glyphs import Glyphs


class PairDataset(BaseDataset):
    """Two pictures of ten classes side by side, on a noisy background: the label is ``10 * left + right``.

    Image ``i`` depends on ``seed``, ``split`` and ``i`` alone, so a longer set begins with the shorter one. Each run
    of 100 images shows every class once. A sample holds ``img``, shape :math:`(H, W, 3)`, uint8, BGR, ``gt_label``, and
    ``glyphs``, the positions of the left and the right picture.

    Args:
        split: One of :attr:`splits`.
        num_samples: Number of images.
        image_size: Height and width of the images; the pictures take half of it.
        noise: Standard deviation of the background's Gaussian noise, on intensities in [0, 1].
        seed: Seed of the drawing. It does not touch the split.
        **kwargs: Other arguments of :class:`mmpretrain.datasets.BaseDataset`, such as ``pipeline``.
    """

    splits: tuple[str, ...] = ()
    """Names of the splits; a split's position is part of the seed."""

    def __init__(self, split: str, num_samples: int, image_size: int, noise: float, seed: int, **kwargs: Any) -> None:
        self.split = split
        self.num_samples = num_samples
        self.image_size = image_size
        self.noise = noise
        self.seed = seed
        super().__init__(ann_file='', **kwargs)

    def glyphs(self) -> Glyphs:
        """The pictures, at half the images' size."""
        raise NotImplementedError

    def extra_repr(self) -> list[str]:
        """Describe the images: there is no annotation file to name."""
        return [f'Split: \t{self.split}', f'Image size: \t{self.image_size}']

    def load_data_list(self) -> list[dict[str, Any]]:
        """Return one dict with ``img``, ``gt_label`` and ``glyphs`` a sample."""
        if self.num_samples is None:
            raise UsageError(f'num_samples of {type(self).__name__} is None, but its images are drawn: give a number.')
        pictures, labels, own = self.glyphs()
        members = [own[labels[own] == label] for label in range(10)]
        data_list: list[dict[str, Any]] = []
        for block in range(-(-self.num_samples // 100)):
            # A generator for each hundred, drawn to its end, keeps image i the same in a set of any length.
            rng = np.random.default_rng((self.seed, self.splits.index(self.split), block))
            classes = rng.permutation(100)
            chosen = _choose(rng, classes, members)
            imgs = _draw(rng, pictures[chosen], self.image_size, self.noise)
            data_list += [
                dict(img=img, gt_label=int(label), glyphs=(int(left), int(right)))
                for img, label, (left, right) in zip(imgs, classes, chosen)
            ]
        return data_list[: self.num_samples]


def _choose(rng: np.random.Generator, classes: np.ndarray, members: Sequence[np.ndarray]) -> np.ndarray:
    """Draw the pictures that spell ``classes``, shape :math:`(N,)`, as positions of shape :math:`(N, 2)`."""
    ranks = rng.random((len(classes), 2))
    sides = zip(divmod(classes, 10), ranks.T)
    return np.array([[members[d][int(r * len(members[d]))] for d, r in zip(*side)] for side in sides]).T


def _draw(rng: np.random.Generator, pairs: np.ndarray, size: int, deviation: float) -> np.ndarray:
    """Put pairs of pictures, shape :math:`(N, 2, g, g)`, on noisy images of shape :math:`(N, H, W, 3)`, uint8."""
    num, _, glyph_size, _ = pairs.shape
    canvas = np.zeros((num, size, size), np.float32)
    tops = rng.integers(0, size - glyph_size + 1, (num, 2))
    span = np.arange(glyph_size)
    for half, left in enumerate((0, size - glyph_size)):
        rows = (tops[:, half, None] + span)[:, :, None]
        canvas[np.arange(num)[:, None, None], rows, left + span] = pairs[:, half]
    noise = deviation * rng.standard_normal((num, size, size, 3), dtype=np.float32)
    return np.rint(255 * (canvas[..., None] + noise).clip(0, 1)).astype(np.uint8)
