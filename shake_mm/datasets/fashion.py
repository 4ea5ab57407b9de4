"""Fashion-MNIST's files, and how their pictures are split. Nothing in here needs mmpretrain or mmdet."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shake_mm.errors import UsageError

from .glyphs import one_of
from .idx import read_idx

DATA_ROOT = 'data/fashion_mnist'
SPLITS = ('train', 'val', 'test', 'trainval')
FILES = {
    'train': ('train-images-idx3-ubyte', 'train-labels-idx1-ubyte'),
    'test': ('t10k-images-idx3-ubyte', 't10k-labels-idx1-ubyte'),
}
GARMENT_SIZE = 28
VAL_SHARE = 1 / 6
NAMES = ('T-shirt/top', 'Trouser', 'Pullover', 'Dress', 'Coat', 'Sandal', 'Shirt', 'Sneaker', 'Bag', 'Ankle boot')


class Pictures(NamedTuple):
    """The pictures of a file.

    Attributes:
        images: uint8, shape :math:`(N, 28, 28)`.
        labels: From 0 to 9, int64, shape :math:`(N, )`.
    """

    images: np.ndarray
    labels: np.ndarray


@lru_cache(maxsize=4)
def load_garments(data_root: str, part: str) -> Pictures:
    """Read the training or the test pictures.

    Args:
        data_root: Folder with the four IDX files, unpacked or with ``.gz`` at the end of their names.
        part: ``'train'`` or ``'test'``.

    Raises:
        UsageError: If a file is not there, or not what it should be.
    """
    images, labels = (read_idx(_find(Path(data_root), name)) for name in FILES[part])
    if images.shape != (len(labels), GARMENT_SIZE, GARMENT_SIZE) or labels.ndim != 1 or labels.max(initial=0) > 9:
        raise UsageError(f'data_root={data_root} holds other pictures than Fashion-MNIST: prepare the data set again.')
    return Pictures(images, labels.astype(np.int64))


def are_there(data_root: str | Path) -> bool:
    """Whether a folder has the four files."""
    try:
        return all(_find(Path(data_root), name).is_file() for names in FILES.values() for name in names)
    except UsageError:
        return False


def part_of(split: str) -> str:
    """The file that a split is a part of, ``'train'`` or ``'test'``."""
    return 'test' if split == 'test' else 'train'


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f'{name}.gz'):
        if path.is_file():
            return path
    raise UsageError(
        f'data_root={folder} has no {name}: run `python tools/dataset_prepare.py fashion-mnist`, or give its folder.'
    )


@lru_cache(maxsize=8)
def split_garments(data_root: str, split: str) -> np.ndarray:
    """Positions of a split's pictures among those of its file.

    A sixth of every class of the training pictures is held back, chosen without a seed. The positions come class by
    class in turn, so that the first so many of them show every class as often.

    Args:
        data_root: Folder of the files.
        split: One of :data:`SPLITS`.

    Returns:
        np.ndarray: Shape :math:`(n, )`.
    """
    labels = load_garments(data_root, part_of(split)).labels
    rng = np.random.default_rng(0)
    ranks, places = [], []
    for label in range(10):
        own = rng.permutation(np.flatnonzero(labels == label))
        cut = round(VAL_SHARE * len(own))
        own = {'train': own[cut:], 'val': own[:cut]}.get(split, own)
        ranks.append(np.arange(len(own)))
        places.append(own)
    return np.concatenate(places)[np.argsort(np.concatenate(ranks), kind='stable')]


def check_garments(name: str, split: str, count: int | None, image_size: int, smallest: int) -> None:
    """Refuse arguments that no set of garments can have."""
    if split not in SPLITS:
        raise UsageError(f'split={split!r} of {name} does not exist: use {one_of(SPLITS)}.')
    if count is not None and count <= 0:
        raise UsageError(f'num_samples={count} leaves the {split} set of {name} empty: use 1 or more.')
    if image_size < smallest:
        raise UsageError(f'image_size={image_size} of {name} is too small: use {smallest} or more.')
