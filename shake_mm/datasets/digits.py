"""Two data sets of real handwritten digits that need no download.

Both draw on the 1,797 glyphs of 8x8 pixels that come inside scikit-learn. One fixed, stratified split of the *glyphs*
serves both, so an image of the validation set never shows a glyph that training has seen.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmpretrain.datasets import BaseDataset

from shake_mm.errors import UsageError
from shake_mm.registry import DATASETS

from .glyphs import GLYPH_SIZE, SPLITS, Glyphs, load_glyphs, resize, split_glyphs
from .pairs import PairDataset


def _check(name: str, split: str, num_samples: int | None, image_size: int) -> None:
    """Refuse arguments that no set of digits can have."""
    if split not in SPLITS:
        raise UsageError(f"split={split!r} of {name} does not exist: use 'train' or 'val'.")
    if num_samples is not None and num_samples <= 0:
        raise UsageError(f'num_samples={num_samples} leaves the {split} set of {name} empty: use 1 or more.')
    if image_size < 2 * GLYPH_SIZE:
        raise UsageError(f'image_size={image_size} of {name} is too small: use {2 * GLYPH_SIZE} or more.')


@DATASETS.register_module()
class Digits(BaseDataset):
    """The handwritten digits of scikit-learn, 10 classes, 1,347 of them for training and 450 for validation.

    A sample holds ``img``, shape :math:`(H, W, 3)`, uint8, BGR (gray), and ``gt_label``.

    Args:
        split: ``'train'`` or ``'val'``.
        image_size: Height and width of the images. Networks made for CIFAR expect 32. Defaults to 32.
        interpolation: How glyphs are enlarged: a name that :func:`mmcv.imresize` knows. Defaults to ``'bilinear'``.
        num_samples: Take only the first so many glyphs of the split. Defaults to None: all.
        digits: Take only glyphs of these digits, which are the classes in this order. Defaults to None: all ten.
        **kwargs: Other arguments of :class:`mmpretrain.datasets.BaseDataset`, such as ``pipeline``.

    Raises:
        UsageError: If the split does not exist, ``digits`` are none, or there are not so many glyphs.

    Example:
        >>> dataset = Digits(split='val')
        >>> dataset[0]['img'].shape
        (32, 32, 3)
    """

    METAINFO = {'classes': tuple(str(digit) for digit in range(10))}

    def __init__(
        self,
        split: str = 'train',
        image_size: int = 32,
        interpolation: str = 'bilinear',
        num_samples: int | None = None,
        digits: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        _check(type(self).__name__, split, num_samples, image_size)
        self.digits = list(range(10)) if digits is None else list(digits)
        if not self.digits or len({*self.digits}) < len(self.digits) or not {*self.digits} <= {*range(10)}:
            raise UsageError(f'digits={digits} of Digits must be numbers from 0 to 9, each once.')
        if digits is not None:
            kwargs.setdefault('metainfo', {'classes': tuple(map(str, self.digits))})
        self.split = split
        self.image_size = image_size
        self.interpolation = interpolation
        self.num_samples = num_samples
        super().__init__(ann_file='', **kwargs)

    def extra_repr(self) -> list[str]:
        """Describe the images: there is neither an annotation file nor a folder to name."""
        return [f'Split: \t{self.split}', f'Image size: \t{self.image_size}']

    def load_data_list(self) -> list[dict[str, Any]]:
        """Return one dict with ``img``, ``gt_label`` and ``glyph`` (its position in scikit-learn's set) a sample."""
        glyphs, digits = load_glyphs()
        own = split_glyphs(self.split)
        own = own[np.isin(digits[own], self.digits)]
        if self.num_samples is not None and self.num_samples > len(own):
            raise UsageError(
                f'num_samples={self.num_samples} is more than the {len(own)} glyphs in the {self.split} set of Digits: '
                'use fewer, or the data set DigitPairs.'
            )
        own = own[: self.num_samples]
        pixels = np.rint(255 * resize(glyphs[own], self.image_size, self.interpolation)).astype(np.uint8)
        pixels = pixels[..., None].repeat(3, axis=-1)
        return [dict(img=img, gt_label=self.digits.index(digits[i]), glyph=int(i)) for img, i in zip(pixels, own)]


@DATASETS.register_module()
class DigitPairs(PairDataset):
    """Two handwritten digits side by side: 100 classes, and as many images as asked for, see :class:`PairDataset`.

    Args:
        split: ``'train'`` or ``'val'``.
        num_samples: Number of images. Defaults to 4000.
        image_size: Height and width of the images; glyphs take half of it. Defaults to 16.
        noise: Standard deviation of the background's Gaussian noise, on intensities in [0, 1]. Defaults to 0.2.
        seed: Seed of the drawing. It does not touch the split. Defaults to 0.
        interpolation: How glyphs are enlarged: a name that :func:`mmcv.imresize` knows. Defaults to ``'bilinear'``.
        **kwargs: Other arguments of :class:`mmpretrain.datasets.BaseDataset`, such as ``pipeline``.

    Example:
        >>> dataset = DigitPairs(split='val', num_samples=100)
        >>> dataset[0]['img'].shape
        (16, 16, 3)
    """

    METAINFO = {'classes': tuple(f'{label:02d}' for label in range(100))}
    splits = SPLITS

    def __init__(
        self,
        split: str = 'train',
        num_samples: int = 4000,
        image_size: int = 16,
        noise: float = 0.2,
        seed: int = 0,
        interpolation: str = 'bilinear',
        **kwargs: Any,
    ) -> None:
        _check(type(self).__name__, split, num_samples, image_size)
        self.interpolation = interpolation
        super().__init__(split, num_samples, image_size, noise, seed, **kwargs)

    def glyphs(self) -> Glyphs:
        """All glyphs of scikit-learn's set, and the positions of this split's."""
        glyphs, digits = load_glyphs()
        resized = resize(glyphs, self.image_size // 2, self.interpolation)
        return Glyphs(resized, digits, split_glyphs(self.split))
