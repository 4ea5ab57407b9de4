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
from collections.abc import Sequence
from pathlib import Path

from .. import atomic
from ..datasets.published import ARCHIVES, FASHION_MNIST, Archive, Source
from ..errors import UsageError
from ..safe_io.download import fetch
from ..safe_io.errors import Refused
from . import common
from .parsers import parse_dataset_prepare as parse_args

DEBIAN = Path('/usr/share/datasets/fashion-mnist')
"""Where Debian's package ``dataset-fashion-mnist`` puts its files."""


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
