"""Files of MNIST's format, as mmpretrain's ``MNIST`` and ``FashionMNIST`` read them."""

import struct
from pathlib import Path

import numpy as np

from shake_mm.registry import DATASETS


def write_mnist(folder: Path, train: int = 48, test: int = 24) -> str:
    """Write gray images (28, 28): two-digit images of shake_mm with the label of the right digit."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, split, number in (('train', 'train', train), ('t10k', 'val', test)):
        source = DATASETS.build(dict(type='shake_mm.DigitPairs', split=split, num_samples=number, image_size=28))
        infos = [source.get_data_info(i) for i in range(number)]
        images = np.stack([info['img'][..., 0] for info in infos])
        labels = np.array([info['gt_label'] % 10 for info in infos], np.uint8)
        (folder / f'{name}-images-idx3-ubyte').write_bytes(struct.pack('>4i', 2051, *images.shape) + images.tobytes())
        (folder / f'{name}-labels-idx1-ubyte').write_bytes(struct.pack('>2i', 2049, number) + labels.tobytes())
    return str(folder)
