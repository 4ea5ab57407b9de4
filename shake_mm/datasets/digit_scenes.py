"""A detection set in COCO's format, drawn from real handwritten digits: no download."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import mmcv
from mmdet.datasets import CocoDataset

from shake_mm.errors import UsageError
from shake_mm.registry import DATASETS

from .drafts import drafted
from .glyphs import SPLITS, one_of
from .scene_drawing import Scene, draw_scene

FORMAT = 1
"""Version of the images and of the files. It stands in the folder's name: a set of an older version is drawn anew."""
ANN_FILE = 'annotations.json'
MIN_SIZE = 48
CLASSES = tuple(str(digit) for digit in range(10))
PALETTE = [
    (31, 119, 180),
    (255, 127, 14),
    (44, 160, 44),
    (214, 39, 40),
    (148, 103, 189),
    (140, 86, 75),
    (227, 119, 194),
    (127, 127, 127),
    (188, 189, 34),
    (23, 190, 207),
]


def folder_name(split: str, num_images: int, size: tuple[int, int], seed: int = 0) -> str:
    """Name the folder of a set, below ``data_root``: all that the set depends on.

    Args:
        split: ``'train'`` or ``'val'``.
        num_images: Number of images.
        size: Height and width.
        seed: Seed of the drawing.

    Example:
        >>> folder_name('val', 400, (96, 96))
        'val_400_96x96_seed0_v1'
    """
    height, width = size
    return f'{split}_{num_images}_{height}x{width}_seed{seed}_v{FORMAT}'


@DATASETS.register_module()
class DigitScenes(CocoDataset):
    """1 to 6 handwritten digits of different sizes and colors on a textured canvas, and a tight box around each.

    The glyphs are scikit-learn's, split as in :class:`Digits`: an image of the validation set never shows a glyph that
    training has seen. Image ``i`` depends on ``seed``, ``split``, ``image_size`` and ``i`` alone, so a longer set
    begins with the shorter one.

    The first use draws the images and COCO's annotation file, ``annotations.json``, into the folder that
    :func:`folder_name` names below ``data_root``; later uses read them. Any number of processes may begin at once.

    Args:
        split: ``'train'`` or ``'val'``.
        num_images: Number of images. Defaults to 1000.
        image_size: Side, or height and width, of the images. Glyphs grow with the smaller side. Defaults to 96.
        seed: Seed of the drawing. It does not touch the split of the glyphs. Defaults to 0.
        data_root: Folder that holds the sets. Defaults to ``'data/digit_scenes'``.
        **kwargs: Other arguments of :class:`mmdet.datasets.CocoDataset`, such as ``pipeline``.

    Raises:
        UsageError: If an argument is out of range.

    Example:
        >>> dataset = DigitScenes(split='val', num_images=20)
        loading annotations into memory...
        Done (t=...)
        creating index...
        index created!
        >>> len(dataset[0]['instances']) in range(1, 7)
        True
    """

    METAINFO = {'classes': CLASSES, 'palette': PALETTE}
    splits: tuple[str, ...] = SPLITS
    """Names of the splits."""

    def __init__(
        self,
        split: str = 'train',
        num_images: int = 1000,
        image_size: int | tuple[int, int] = 96,
        seed: int = 0,
        data_root: str = 'data/digit_scenes',
        **kwargs: Any,
    ) -> None:
        size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
        name = type(self).__name__
        if split not in self.splits:
            raise UsageError(f'split={split!r} of {name} does not exist: use {one_of(self.splits)}.')
        if num_images <= 0:
            raise UsageError(f'num_images={num_images} leaves the {split} set of {name} empty: use 1 or more.')
        if len(size) != 2 or min(size) < MIN_SIZE:
            raise UsageError(f'image_size={image_size} of {name} must be one side or two, {MIN_SIZE} or more.')
        self.split, self.num_images, self.image_size, self.seed = split, num_images, size, seed
        folder = Path(data_root) / folder_name(split, num_images, size, seed)
        super().__init__(ann_file=ANN_FILE, data_root=str(folder), data_prefix=dict(img=''), **kwargs)

    def load_data_list(self) -> list[dict]:
        """Draw the set unless it is there, then read it."""
        folder = Path(self.data_root)
        if not _is_whole(folder, self.num_images):
            _write(folder, map(self.draw, range(self.num_images)), self.metainfo['classes'])
        return super().load_data_list()

    def draw(self, index: int) -> Scene:
        """Draw the image at a position of the set."""
        return draw_scene(self.split, index, self.image_size, self.seed)


def _file_name(index: int) -> str:
    return f'{index:06d}.png'


def _is_whole(folder: Path, num_images: int) -> bool:
    """Tell whether the folder holds the annotations and every image."""
    wanted = {ANN_FILE, *map(_file_name, range(num_images))}
    return folder.is_dir() and wanted <= set(os.listdir(folder))


def _write(folder: Path, scenes: Iterable[Scene], classes: Iterable[str]) -> None:
    """Write a set beside its folder, then move it into place in one step, so that nobody ever sees a part of it."""
    with drafted(folder, lambda place: _is_whole(place, len(images))) as draft:
        images: list[dict] = []
        annotations: list[dict] = []
        for index, scene in enumerate(scenes):
            mmcv.imwrite(scene.img, str(draft / _file_name(index)))
            height, width = scene.img.shape[:2]
            images.append(dict(id=index, file_name=_file_name(index), height=height, width=width))
            annotations += _annotate(scene, index, len(annotations) + 1)
        categories = [dict(id=label, name=name) for label, name in enumerate(classes)]
        content = dict(images=images, annotations=annotations, categories=categories)
        (draft / ANN_FILE).write_text(json.dumps(content), encoding='utf-8')


def _annotate(scene: Scene, image_id: int, first_id: int) -> list[dict]:
    """Return COCO's annotations of a scene; pycocotools takes an annotation of id 0 for none, so they start at 1."""
    return [
        dict(
            id=first_id + i,
            image_id=image_id,
            category_id=int(label),
            bbox=box.tolist(),
            area=int(box[2] * box[3]),
            iscrowd=0,
            glyph=int(glyph),
        )
        for i, (box, label, glyph) in enumerate(zip(scene.boxes, scene.labels, scene.glyphs))
    ]
