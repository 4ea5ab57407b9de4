"""Put a data set where the configs look for it: ``tools/dataset_prepare.py NAME [--from PLACE] [--to FOLDER]``.

``fashion-mnist`` takes its four files from the folder of ``--from``, or from Debian's package
``dataset-fashion-mnist`` where that is installed, or else downloads them. The others are archives: ``--from`` names one
that was downloaded before. What is read is checked by its hash, and what stands in the folder already stays.
"""

import argparse
import gzip
import hashlib
import json
import shutil
import sys
import tarfile
import uuid
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import atomic
from ..errors import UsageError
from ..safe_io.download import fetch
from ..safe_io.errors import Refused
from . import common

DEBIAN = Path('/usr/share/datasets/fashion-mnist')
"""Where Debian's package ``dataset-fashion-mnist`` puts its files."""


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


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Define and parse the command line."""
    parser = common.ArgumentParser(description='Put a data set where the configs look for it')
    parser.add_argument('name', choices=['fashion-mnist', *ARCHIVES, 'coco-minitrain'], help='the data set')
    parser.add_argument('--from', dest='source', type=Path, help='a folder or archive that was downloaded before')
    parser.add_argument('--to', dest='folder', type=Path, help='where to put it (the folder that the configs name)')
    common.add_common_arguments(parser)
    return parser.parse_args(argv)


def prepare(args: argparse.Namespace) -> None:
    """Run the command with the parsed options."""
    if args.name == 'fashion-mnist':
        folder = prepare_fashion_mnist(args.source, args.folder or Path('data/fashion_mnist'))
    elif args.name == 'coco-minitrain':
        folder = prepare_coco_minitrain(args.source, args.folder or Path('data/coco'))
    else:
        archive = ARCHIVES[args.name]
        folder = prepare_archive(archive, args.source, args.folder or Path(archive.folder))
    print(f'{args.name} is ready: {folder}')


def prepare_fashion_mnist(source: Path | None, folder: Path) -> Path:
    """Unpack the four files of Fashion-MNIST.

    Args:
        source (Path, optional): A folder that holds them, packed or not. Defaults to Debian's, or the network.
        folder (Path): Where they go.

    Raises:
        UsageError: If a file is missing or is not what was published.
    """
    source = source or (DEBIAN if DEBIAN.is_dir() else None)
    for name, published in FASHION_MNIST.items():
        if (folder / name).is_file() and _digest(folder / name, 'sha256') == published.unpacked:
            continue
        packed = _fetched(published) if source is None else _first(source / name, source / f'{name}.gz')
        if (folder / name).exists():
            raise UsageError(f'--to: {folder / name} is another file than that of Fashion-MNIST: name another folder.')
        atomic.write(folder / name, _content(packed, published), 'nothing was written')
    return folder


def _content(path: Path, published: Source) -> bytes:
    """The unpacked content of a file, checked."""
    packed = path.read_bytes()
    try:
        content = gzip.decompress(packed) if path.suffix == '.gz' else packed
    except (OSError, EOFError) as error:
        raise UsageError(f'{path} is damaged ({error}): download it again.') from error
    if hashlib.sha256(content).hexdigest() != published.unpacked and hashlib.md5(packed).hexdigest() != published.md5:
        raise UsageError(f'{path} is not the file that {published.url} was: download it again.')
    return content


def _first(*paths: Path) -> Path:
    for path in paths:
        if path.is_file():
            return path
    raise UsageError(f'--from: {paths[0].parent} has no {paths[0].name}, nor {paths[-1].name}: name its folder.')


def prepare_archive(archive: Archive, source: Path | None, folder: Path) -> Path:
    """Unpack an archive into a folder, whole or not at all.

    Args:
        archive (Archive): What it is.
        source (Path, optional): The file. Defaults to None: it is downloaded.
        folder (Path): Where its content goes.

    Raises:
        UsageError: If it is missing or not what was published.
    """
    target = folder / archive.content
    if target.exists():
        return target
    path = source or _fetched(archive.source)
    if not path.is_file():
        raise UsageError(f'--from: {path} is no file: name the archive that {archive.source.url} was.')
    if _digest(path, 'md5') != archive.source.md5:
        raise UsageError(f'{path} is not the archive that {archive.source.url} was: download it again.')
    draft = folder / f'.{archive.content}.{uuid.uuid4().hex}'
    draft.mkdir(parents=True)
    try:
        _unpack(path, draft)
        if archive.finish is not None:
            archive.finish(draft / archive.content)
        (draft / archive.content).rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def _unpack(path: Path, folder: Path) -> None:
    try:
        if path.suffix == '.zip':
            with zipfile.ZipFile(path) as archive:
                archive.extractall(folder)
        else:
            with tarfile.open(path) as archive:
                archive.extractall(folder, filter='data')
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise UsageError(f'{path} cannot be unpacked ({error}): download it again.') from error


def prepare_coco_minitrain(source: Path | None, folder: Path) -> Path:
    """Put the annotations of COCO minitrain, 25,000 pictures of COCO's train2017, beside COCO's own.

    Args:
        source (Path, optional): ``instances_minitrain2017.json``, which its authors publish.
        folder (Path): Folder of COCO, with ``train2017``.

    Raises:
        UsageError: If the file is not given, or names pictures that are not there.
    """
    if source is None or not source.is_file():
        raise UsageError(
            '--from: name instances_minitrain2017.json, which https://github.com/giddyyupp/coco-minitrain publishes.'
        )
    try:
        names = [image['file_name'] for image in json.loads(source.read_text())['images']]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f'--from: {source} is no annotation file of COCO: download it again.') from error
    missing = [name for name in names if not (folder / 'train2017' / name).is_file()]
    if missing or not names:
        raise UsageError(f'--to: {folder}/train2017 lacks {len(missing)} of its {len(names)} pictures: name COCO.')
    target = folder / 'annotations' / 'instances_minitrain2017.json'
    if not target.exists():
        atomic.write(target, source.read_bytes(), 'nothing was written')
    return target


def _fetched(source: Source) -> Path:
    try:
        return Path(fetch(source.url))
    except Refused as error:
        raise UsageError(f'{source.url} {error}; name it by --from.') from error


def _digest(path: Path, kind: str) -> str:
    digest = hashlib.new(kind)
    with open(path, 'rb') as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return common.run(prepare, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
