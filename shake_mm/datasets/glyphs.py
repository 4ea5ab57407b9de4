"""Pictures that sets are drawn from: scikit-learn's 1,797 handwritten digits of 8x8 pixels, in one fixed split.

Nothing in here needs mmpretrain or mmdet.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import mmcv
import numpy as np

SPLITS = ('train', 'val')
TRAIN_SHARE = 0.75
GLYPH_SIZE = 8


@lru_cache(maxsize=1)
def load_glyphs() -> tuple[np.ndarray, np.ndarray]:
    """Return all glyphs, :math:`(1797, 8, 8)` float32 in [0, 1], and their digits, :math:`(1797,)`."""
    from sklearn.datasets import load_digits  # scikit-learn takes a second to import, and nothing else needs it

    bunch = load_digits()
    return (bunch.images / 16).astype(np.float32), bunch.target.astype(np.int64)


@lru_cache(maxsize=len(SPLITS))
def split_glyphs(split: str) -> np.ndarray:
    """Return the glyphs of one split: three quarters of every digit's glyphs train, the others validate.

    The split depends on no seed: two data sets with different seeds cannot leak glyphs into each other.

    Args:
        split: ``'train'`` or ``'val'``.

    Returns:
        Sorted positions in :func:`sklearn.datasets.load_digits`, shape :math:`(N,)`.
    """
    digits = load_glyphs()[1]
    rng = np.random.default_rng(0)
    chosen = []
    for digit in range(10):
        own = rng.permutation(np.flatnonzero(digits == digit))
        cut = round(TRAIN_SHARE * len(own))
        chosen.append(own[:cut] if split == 'train' else own[cut:])
    return np.sort(np.concatenate(chosen))


def resize(glyphs: np.ndarray, size: int, interpolation: str) -> np.ndarray:
    """Resize glyphs of shape :math:`(N, g, g)` to :math:`(N, size, size)`."""
    if size == glyphs.shape[-1]:
        return glyphs
    return np.stack([mmcv.imresize(glyph, (size, size), interpolation=interpolation) for glyph in glyphs])


def one_of(names: Sequence[str]) -> str:
    """Names as a sentence offers them: ``'a', 'b' or 'c'``."""
    return ' or '.join(filter(None, (', '.join(map(repr, names[:-1])), repr(names[-1]))))


class Glyphs(NamedTuple):
    """The pictures that a set is drawn from.

    Attributes:
        pictures: Shape :math:`(N, g, g)`, float32 in [0, 1], as they are pasted.
        labels: From 0 to 9, shape :math:`(N, )`.
        own: Positions of those that belong to the split, sorted, shape :math:`(n, )`.
    """

    pictures: np.ndarray
    labels: np.ndarray
    own: np.ndarray
