"""Data sets of real pictures of garments: Fashion-MNIST, 28x28 pixels, 10 classes, 60,000 + 10,000 pictures.

``tools/dataset_prepare.py fashion-mnist`` (``make data``) puts its four files where mmpretrain's ``FashionMNIST`` looks
for them too. A sixth of the 60,000 training pictures is held back, the same for every set and seed: what is chosen
(weights, temperatures, epochs) is chosen there, and the 10,000 test pictures are for reports.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmpretrain.datasets import BaseDataset
from mmpretrain.datasets.categories import FASHIONMNIST_CATEGORITES

from shake_mm.errors import UsageError
from shake_mm.registry import DATASETS

from .digit_scenes import PALETTE, DigitScenes
from .digits import resize
from .idx import read_idx
from .pairs import Glyphs, PairDataset, one_of
from .scene_drawing import Scene, draw_scene

DATA_ROOT = 'data/fashion_mnist'
SPLITS = ('train', 'val', 'test', 'trainval')
FILES = {
    'train': ('train-images-idx3-ubyte', 'train-labels-idx1-ubyte'),
    'test': ('t10k-images-idx3-ubyte', 't10k-labels-idx1-ubyte'),
}
GARMENT_SIZE = 28
VAL_SHARE = 1 / 6
NAMES = tuple(FASHIONMNIST_CATEGORITES)


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


def _part(split: str) -> str:
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
    labels = load_garments(data_root, _part(split)).labels
    rng = np.random.default_rng(0)
    ranks, places = [], []
    for label in range(10):
        own = rng.permutation(np.flatnonzero(labels == label))
        cut = round(VAL_SHARE * len(own))
        own = {'train': own[cut:], 'val': own[:cut]}.get(split, own)
        ranks.append(np.arange(len(own)))
        places.append(own)
    return np.concatenate(places)[np.argsort(np.concatenate(ranks), kind='stable')]


def _check(name: str, split: str, count: int | None, image_size: int, smallest: int) -> None:
    """Refuse arguments that no set of garments can have."""
    if split not in SPLITS:
        raise UsageError(f'split={split!r} of {name} does not exist: use {one_of(SPLITS)}.')
    if count is not None and count <= 0:
        raise UsageError(f'num_samples={count} leaves the {split} set of {name} empty: use 1 or more.')
    if image_size < smallest:
        raise UsageError(f'image_size={image_size} of {name} is too small: use {smallest} or more.')


@DATASETS.register_module()
class Garments(BaseDataset):
    """Fashion-MNIST in the shape that networks for CIFAR expect: 3 channels, padded with black to the image's size.

    A sample holds ``img``, shape :math:`(H, W, 3)`, uint8, BGR (gray), and ``gt_label``.

    Args:
        split: ``'train'`` (50,000 pictures), ``'val'`` (the 10,000 that are held back from training), ``'trainval'``
            (both: Fashion-MNIST's own training set) or ``'test'`` (10,000).
        num_samples: Take only so many, of every class as many. Defaults to None: all.
        image_size: Height and width of the images. Defaults to 32.
        data_root: Folder of the files. Defaults to ``'data/fashion_mnist'``.
        **kwargs: Other arguments of :class:`mmpretrain.datasets.BaseDataset`, such as ``pipeline``.

    Raises:
        UsageError: If an argument is out of range, or the files are not there.
    """

    METAINFO = {'classes': NAMES}

    def __init__(
        self,
        split: str = 'train',
        num_samples: int | None = None,
        image_size: int = 32,
        data_root: str = DATA_ROOT,
        **kwargs: Any,
    ) -> None:
        _check(type(self).__name__, split, num_samples, image_size, GARMENT_SIZE)
        self.split = split
        self.num_samples = num_samples
        self.image_size = image_size
        super().__init__(ann_file='', data_root=data_root, **kwargs)

    def extra_repr(self) -> list[str]:
        """Describe the images and their folder."""
        return [f'Split: \t{self.split}', f'Image size: \t{self.image_size}', f'Folder: \t{self.data_root}']

    def load_data_list(self) -> list[dict[str, Any]]:
        """Return one dict with ``img``, ``gt_label`` and ``glyph`` (the position in its file) a sample."""
        images, labels = load_garments(self.data_root, _part(self.split))
        own = split_garments(self.data_root, self.split)
        if self.num_samples is not None and self.num_samples > len(own):
            raise UsageError(
                f'num_samples={self.num_samples} is more than the {len(own)} pictures in the {self.split} set of '
                'Garments: use fewer.'
            )
        own = own[: self.num_samples]
        before = (self.image_size - GARMENT_SIZE) // 2
        border = (before, self.image_size - GARMENT_SIZE - before)
        padded = np.pad(images[own], ((0, 0), border, border))[..., None].repeat(3, axis=-1)
        return [dict(img=img, gt_label=int(labels[i]), glyph=int(i)) for img, i in zip(padded, own)]


@DATASETS.register_module()
class GarmentPairs(PairDataset):
    """Two garments side by side: 100 classes of real pictures at CIFAR-100's size, see :class:`PairDataset`.

    Args:
        split: As in :class:`Garments`: no garment of one split shows in another's images.
        num_samples: Number of images. Defaults to 20000.
        image_size: Height and width of the images; garments are shrunk to half of it. Defaults to 32.
        noise: Standard deviation of the background's Gaussian noise, on intensities in [0, 1]. Defaults to 0.
        seed: Seed of the drawing. It does not touch the split. Defaults to 0.
        interpolation: How garments are resized: a name that :func:`mmcv.imresize` knows. Defaults to ``'area'``.
        data_root: Folder of the files. Defaults to ``'data/fashion_mnist'``.
        **kwargs: Other arguments of :class:`mmpretrain.datasets.BaseDataset`, such as ``pipeline``.

    Raises:
        UsageError: If an argument is out of range, or the files are not there.
    """

    METAINFO = {'classes': tuple(f'{left}, {right}' for left in NAMES for right in NAMES)}
    splits = SPLITS

    def __init__(
        self,
        split: str = 'train',
        num_samples: int = 20000,
        image_size: int = 32,
        noise: float = 0.0,
        seed: int = 0,
        interpolation: str = 'area',
        data_root: str = DATA_ROOT,
        **kwargs: Any,
    ) -> None:
        _check(type(self).__name__, split, num_samples, image_size, 16)
        self.interpolation = interpolation
        super().__init__(split, num_samples, image_size, noise, seed, data_root=data_root, **kwargs)

    def glyphs(self) -> Glyphs:
        """This split's garments, shrunk."""
        images, labels = load_garments(self.data_root, _part(self.split))
        own = np.sort(split_garments(self.data_root, self.split))
        shrunk = np.zeros((len(images), self.image_size // 2, self.image_size // 2), np.float32)
        shrunk[own] = resize(images[own].astype(np.float32) / 255, self.image_size // 2, self.interpolation)
        return Glyphs(shrunk, labels, own)


@DATASETS.register_module()
class GarmentScenes(DigitScenes):
    """1 to 6 garments of different sizes and colors on a textured canvas, and a tight box around each.

    All but the pictures and their classes is as in :class:`DigitScenes`.

    Args:
        split: As in :class:`Garments`: no garment of one split shows in another's images.
        num_images: Number of images. Defaults to 1000.
        image_size: Side, or height and width, of the images. Defaults to 96.
        seed: Seed of the drawing. It does not touch the split. Defaults to 0.
        data_root: Folder that holds the sets. Defaults to ``'data/garment_scenes'``.
        garment_root: Folder of Fashion-MNIST's files. Defaults to ``'data/fashion_mnist'``.
        **kwargs: Other arguments of :class:`mmdet.datasets.CocoDataset`, such as ``pipeline``.

    Raises:
        UsageError: If an argument is out of range, or the files are not there.
    """

    METAINFO = {'classes': NAMES, 'palette': PALETTE}
    splits = SPLITS

    def __init__(
        self,
        split: str = 'train',
        num_images: int = 1000,
        image_size: int | tuple[int, int] = 96,
        seed: int = 0,
        data_root: str = 'data/garment_scenes',
        garment_root: str = DATA_ROOT,
        **kwargs: Any,
    ) -> None:
        self.garment_root = garment_root
        super().__init__(split, num_images, image_size, seed, data_root, **kwargs)

    def draw(self, index: int) -> Scene:
        """Draw the image at a position of the set."""
        images, labels = load_garments(self.garment_root, _part(self.split))
        glyphs = Glyphs(images, labels, np.sort(split_garments(self.garment_root, self.split)))
        # A garment's own gray tones show: only what is black around it is paper.
        return draw_scene(self.split, index, self.image_size, self.seed, glyphs=glyphs, ink=0.02, splits=self.splits)
