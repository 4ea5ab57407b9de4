"""Data sets of real pictures of garments: Fashion-MNIST, 28x28 pixels, 10 classes, 60,000 + 10,000 pictures.

``tools/dataset_prepare.py fashion-mnist`` (``make data``) puts its four files where mmpretrain's ``FashionMNIST`` looks
for them too. A sixth of the 60,000 training pictures is held back, the same for every set and seed: what is chosen
(weights, temperatures, epochs) is chosen there, and the 10,000 test pictures are for reports.
"""

from typing import Any

import numpy as np
from mmpretrain.datasets import BaseDataset

from shake_mm.errors import UsageError
from shake_mm.registry import DATASETS

from .fashion import DATA_ROOT, GARMENT_SIZE, NAMES, SPLITS, check_garments, load_garments, part_of, split_garments
from .glyphs import Glyphs, resize
from .pairs import PairDataset


@DATASETS.register_module()
class Garments(BaseDataset):
    """Fashion-MNIST in the shape that networks for CIFAR expect: 3 channels, padded with black to the image's size.

    A sample holds ``img``, shape :math:`(H, W, 3)`, uint8, BGR (gray), and ``gt_label``.

    Args:
        split: ``'train'`` (50,000 pictures), ``'val'`` (the 10,000 that are held back from training), ``'trainval'``
            (both: Fashion-MNIST's own training set) or ``'test'`` (10,000).
        num_samples: Take only so many, of every class as many. Defaults to None: all.
        image_size: Height and width of the images. Defaults to 32.
        wrong_labels: Share of the samples that bear the label of another class, the same for every run: a regime in
            which a teacher's word counts more. Defaults to 0.
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
        wrong_labels: float = 0.0,
        data_root: str = DATA_ROOT,
        **kwargs: Any,
    ) -> None:
        check_garments(type(self).__name__, split, num_samples, image_size, GARMENT_SIZE)
        if not 0 <= wrong_labels <= 1:
            raise UsageError(f'wrong_labels={wrong_labels} of Garments is a share: give a number from 0 to 1.')
        self.wrong_labels = wrong_labels
        self.split = split
        self.num_samples = num_samples
        self.image_size = image_size
        super().__init__(ann_file='', data_root=data_root, **kwargs)

    def extra_repr(self) -> list[str]:
        """Describe the images and their folder."""
        return [f'Split: \t{self.split}', f'Image size: \t{self.image_size}', f'Folder: \t{self.data_root}']

    def load_data_list(self) -> list[dict[str, Any]]:
        """Return one dict with ``img``, ``gt_label`` and ``glyph`` (the position in its file) a sample."""
        images, labels = load_garments(self.data_root, part_of(self.split))
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
        given = self._with_mistakes(labels[own])
        return [dict(img=img, gt_label=int(label), glyph=int(i)) for img, label, i in zip(padded, given, own)]

    def _with_mistakes(self, labels: np.ndarray) -> np.ndarray:
        """Labels, shape :math:`(n, )`, of which some became those of other classes."""
        rng = np.random.default_rng(0)
        wrong = rng.permutation(len(labels)) < round(self.wrong_labels * len(labels))
        return np.where(wrong, (labels + rng.integers(1, 10, len(labels))) % 10, labels)


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
        check_garments(type(self).__name__, split, num_samples, image_size, 16)
        self.interpolation = interpolation
        super().__init__(split, num_samples, image_size, noise, seed, data_root=data_root, **kwargs)

    def glyphs(self) -> Glyphs:
        """This split's garments, shrunk."""
        images, labels = load_garments(self.data_root, part_of(self.split))
        own = np.sort(split_garments(self.data_root, self.split))
        shrunk = np.zeros((len(images), self.image_size // 2, self.image_size // 2), np.float32)
        shrunk[own] = resize(images[own].astype(np.float32) / 255, self.image_size // 2, self.interpolation)
        return Glyphs(shrunk, labels, own)
