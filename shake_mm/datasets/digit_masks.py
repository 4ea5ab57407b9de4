"""A semantic segmentation set drawn from real handwritten digits: no download."""

import os
from pathlib import Path
from typing import Any

import mmcv
from mmengine.dataset import BaseDataset

from ..errors import UsageError
from ..registry import DATASETS
from .drafts import drafted
from .glyphs import SPLITS
from .scene_drawing import draw_scene

FORMAT = 1
"""Version of the images and masks. It stands in the folder's name: a set of an older version is drawn anew."""
MIN_SIZE = 48
CLASSES = ('canvas', *(str(digit) for digit in range(10)))
PALETTE = [
    [0, 0, 0],
    [31, 119, 180],
    [255, 127, 14],
    [44, 160, 44],
    [214, 39, 40],
    [148, 103, 189],
    [140, 86, 75],
    [227, 119, 194],
    [127, 127, 127],
    [188, 189, 34],
    [23, 190, 207],
]


@DATASETS.register_module()
class DigitMasks(BaseDataset):
    """The scenes of :class:`DigitScenes` with the class of every pixel: the canvas, or one of ten digits.

    The half transparent edges of strokes are neither, and ignored (255). Glyphs are split as in :class:`Digits`. The
    samples are those of mmsegmentation's ``BaseSegDataset``, for its pipelines and metrics; it is not imported here.

    The first use draws images and masks into a folder below ``data_root``, whose name says all that they depend on;
    later uses read them. Any number of processes may begin at once.

    Args:
        split: ``'train'`` or ``'val'``.
        num_images: Number of images. Defaults to 1000.
        image_size: Side, or height and width, of the images. Glyphs grow with the smaller side. Defaults to 64.
        seed: Seed of the drawing. It does not touch the split of the glyphs. Defaults to 0.
        labeled: Whether the samples name their masks; without, they are pictures alone. Defaults to True.
        data_root: Folder that holds the sets. Defaults to ``'data/digit_masks'``.
        **kwargs: Other arguments of :class:`mmengine.dataset.BaseDataset`, such as ``pipeline``.

    Raises:
        UsageError: If an argument is out of range.

    Example:
        >>> dataset = DigitMasks(split='val', num_images=20)
        >>> sorted(dataset[0])[:3]
        ['img_path', 'label_map', 'reduce_zero_label']
    """

    METAINFO = {'classes': CLASSES, 'palette': PALETTE}

    def __init__(
        self,
        split: str = 'train',
        num_images: int = 1000,
        image_size: int | tuple[int, int] = 64,
        seed: int = 0,
        labeled: bool = True,
        data_root: str = 'data/digit_masks',
        **kwargs: Any,
    ) -> None:
        size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
        if split not in SPLITS:
            raise UsageError(f"split={split!r} of DigitMasks does not exist: use 'train' or 'val'.")
        if num_images <= 0:
            raise UsageError(f'num_images={num_images} leaves the {split} set of DigitMasks empty: use 1 or more.')
        if len(size) != 2 or min(size) < MIN_SIZE:
            raise UsageError(f'image_size={image_size} of DigitMasks must be one side or two, {MIN_SIZE} or more.')
        self.split, self.num_images, self.image_size, self.seed, self.labeled = split, num_images, size, seed, labeled
        folder = Path(data_root) / f'{split}_{num_images}_{size[0]}x{size[1]}_seed{seed}_v{FORMAT}'
        super().__init__(ann_file='', data_root=str(folder), **kwargs)

    def load_data_list(self) -> list[dict]:
        """Draw the set unless it is there, then list it."""
        folder = Path(self.data_root)
        if not self._is_whole(folder):
            with drafted(folder, self._is_whole) as draft:
                for index in range(self.num_images):
                    scene = draw_scene(self.split, index, self.image_size, self.seed)
                    mmcv.imwrite(scene.img, str(draft / 'images' / _file_name(index)))
                    mmcv.imwrite(scene.mask, str(draft / 'masks' / _file_name(index)))
        return [self._sample(folder, index) for index in range(self.num_images)]

    def _sample(self, folder: Path, index: int) -> dict:
        sample: dict[str, Any] = dict(
            img_path=str(folder / 'images' / _file_name(index)), label_map=None, reduce_zero_label=False, seg_fields=[]
        )
        return {**sample, 'seg_map_path': str(folder / 'masks' / _file_name(index))} if self.labeled else sample

    def _is_whole(self, folder: Path) -> bool:
        """Tell whether a folder holds every image and mask."""
        wanted = {_file_name(index) for index in range(self.num_images)}
        parts = [folder / 'images', folder / 'masks']
        return all(part.is_dir() and wanted <= set(os.listdir(part)) for part in parts)


def _file_name(index: int) -> str:
    return f'{index:06d}.png'
