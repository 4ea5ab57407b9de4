"""Data sets as they are published: where, with which hashes, and what a data set of mmpretrain wants them to be."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Source(NamedTuple):
    """A published file.

    Attributes:
        url: Where it is published.
        md5: Of the file as it is published.
        unpacked: SHA-256 of the content of a gzipped file, for copies that were packed anew; empty where none is known.
    """

    url: str
    md5: str
    unpacked: str = ''


_FASHION = 'http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/'
FASHION_MNIST = {
    'train-images-idx3-ubyte': Source(
        f'{_FASHION}train-images-idx3-ubyte.gz',
        '8d4fb7e6c68d591d4c3dfef9ec88bf0d',
        'c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888',
    ),
    'train-labels-idx1-ubyte': Source(
        f'{_FASHION}train-labels-idx1-ubyte.gz',
        '25c81989df183df01b3e8a0aad5dffbe',
        'bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9',
    ),
    't10k-images-idx3-ubyte': Source(
        f'{_FASHION}t10k-images-idx3-ubyte.gz',
        'bef4ecab320f06d8554ea6380940ec79',
        '5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b',
    ),
    't10k-labels-idx1-ubyte': Source(
        f'{_FASHION}t10k-labels-idx1-ubyte.gz',
        'bb300cfdad3c16e7a12a480ee83cd310',
        '0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34',
    ),
}


class Archive(NamedTuple):
    """A data set that is published as one archive.

    Attributes:
        source: The archive.
        folder: Where its content goes by default, as the configs of OpenMMLab and ours name it.
        content: The archive's own top folder, by which a prepared data set is known.
        finish: Turns the unpacked folder into what a data set of mmpretrain reads; None where it is that already.
    """

    source: Source
    folder: str
    content: str
    finish: Callable[[Path], None] | None = None


def _sort_tiny_imagenet(folder: Path) -> None:
    """Put the validation pictures into a folder for each class, as the training pictures are."""
    val = folder / 'val'
    for line in (val / 'val_annotations.txt').read_text().splitlines():
        name, label = line.split('\t')[:2]
        (val / label).mkdir(exist_ok=True)
        (val / 'images' / name).rename(val / label / name)
    (val / 'images').rmdir()


def _write_stl10(folder: Path) -> None:
    """Turn the arrays of STL-10 into pictures: ``train/CLASS``, ``test/CLASS`` and ``unlabeled``."""
    import mmcv

    classes = (folder / 'class_names.txt').read_text().split()
    for part in ('train', 'test', 'unlabeled'):
        pixels = np.memmap(folder / f'{part}_X.bin', np.uint8, 'r').reshape(-1, 3, 96, 96)
        labels = np.fromfile(folder / f'{part}_y.bin', np.uint8) if part != 'unlabeled' else None
        for index, picture in enumerate(pixels):
            group = f'{part}/{classes[labels[index] - 1]}' if labels is not None else part
            # Stored column by column, in RGB.
            mmcv.imwrite(
                np.ascontiguousarray(picture.transpose(2, 1, 0)[..., ::-1]), f'{folder}/{group}/{index:06d}.png'
            )
        del pixels
        (folder / f'{part}_X.bin').unlink()


ARCHIVES = {
    'cifar10': Archive(
        Source('https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz', 'c58f30108f718f92721af3b95e74349a'),
        'data/cifar10',
        'cifar-10-batches-py',
    ),
    'cifar100': Archive(
        Source('https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz', 'eb9058c3a382ffc7106e4002c42a8d85'),
        'data/cifar100',
        'cifar-100-python',
    ),
    'imagenette': Archive(
        Source('https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz', 'e793b78cc4c9e9a4ccc0c1155377a412'),
        'data/imagenette',
        'imagenette2-160',
    ),
    'stl10': Archive(
        Source('http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz', '91f7769df0f17e558f3565bffb0c7dfb'),
        'data/stl10',
        'stl10_binary',
        _write_stl10,
    ),
    'tiny-imagenet': Archive(
        Source('http://cs231n.stanford.edu/tiny-imagenet-200.zip', '90528d7ca1a48142e341f4ef8d21d0de'),
        'data/tiny-imagenet',
        'tiny-imagenet-200',
        _sort_tiny_imagenet,
    ),
}
