"""A detection set in COCO's format, drawn from real pictures of garments."""

from typing import Any

import numpy as np

from shake_mm.registry import DATASETS

from .digit_scenes import PALETTE, DigitScenes
from .fashion import DATA_ROOT, NAMES, SPLITS, load_garments, part_of, split_garments
from .glyphs import Glyphs
from .scene_drawing import Scene, draw_scene


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
        images, labels = load_garments(self.garment_root, part_of(self.split))
        glyphs = Glyphs(images, labels, np.sort(split_garments(self.garment_root, self.split)))
        # A garment's own gray tones show: only what is black around it is paper.
        return draw_scene(self.split, index, self.image_size, self.seed, glyphs=glyphs, ink=0.02, splits=self.splits)
