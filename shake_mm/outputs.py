"""What our tools write, and what they leave alone: a file that exists is overwritten only if they wrote it themselves.

A config or page that they write says so in its first lines, a checkpoint in its ``meta``. Anything else is somebody's
work, until ``--overwrite`` says that it may go.
"""

import re
import zipfile
from collections.abc import Iterable
from pathlib import Path

from mmengine.config import Config
from mmengine.fileio import dump

from . import atomic
from .errors import UsageError

HEADER = '# Written by shake_mm, which overwrites this file: copy it before you change it.\n'
_MARK = re.compile(rb'Written by (?:shake_mm|`python (?:tools/|-m (?:shake_mm|analysis|benchmarks)))')
_ARCHIVES = {'.pth': ('/data.pkl', re.compile(b'shake_mm_version')), '.pt': ('/extra/shake_mm.json', _MARK)}
"""Endings of archives, which of their files says who wrote them, and by what."""
_ANYWHERE = ('.svg', '.pdf', '.onnx')
"""Endings of files in which the mark may stand at any place."""


def is_ours(path: str | Path) -> bool:
    """Whether one of our tools wrote a file; nothing in it is executed or unpickled.

    Args:
        path (str | Path): An existing file. A config of a work directory is also ours if a run has kept a copy of it
            beside its logs, as runs do whose configs have no header yet.
    """
    path = Path(path)
    try:
        if path.suffix in _ARCHIVES:
            file, mark = _ARCHIVES[path.suffix]
            with zipfile.ZipFile(path) as archive:
                return any(mark.search(archive.read(name)) for name in archive.namelist() if name.endswith(file))
        content = path.read_bytes()
        copies = path.parent.glob('*/vis_data/config.py') if path.suffix == '.py' else ()
        head = content if path.suffix.lower() in _ANYWHERE else content[:1000]
        return bool(_MARK.search(head)) or any(copy.read_bytes() == content for copy in copies)
    except (OSError, zipfile.BadZipFile):
        return False


def claim(path: str | Path, what: str, overwrite: bool | None = None, inputs: Iterable[str | Path | None] = ()) -> None:
    """Refuse to write to a file that is not ours to overwrite.

    Args:
        path (str | Path): The file that is going to be written.
        what (str): The option or argument that names it.
        overwrite (bool, optional): Whether the user allows it. Defaults to None: the tool has no such option.
        inputs (iterable of str | Path | None): Files that the tool reads, which it never overwrites. Defaults to ().

    Raises:
        UsageError: If the file is a link, a folder, an input, or exists and was not written by us.
    """
    path = Path(path)
    if path.is_symlink():
        raise UsageError(f'{what}: {path} is a link, and nothing is written through links: name another file.')
    if not path.exists():
        return
    if path.is_dir():
        raise UsageError(f'{what}: {path} is a folder: name a file.')
    if any(source is not None and Path(source).exists() and path.samefile(source) for source in inputs):
        raise UsageError(f'{what}: {path} is read by this very command and would be overwritten: name another place.')
    if not (overwrite or is_ours(path)):
        mend = 'name another place' if overwrite is None else 'name another one, or allow it by --overwrite'
        raise UsageError(f'{what}: {path} exists and was not written by shake_mm: {mend}.')


def claim_folder(path: str | Path, what: str, overwrite: bool) -> None:
    """Refuse to write files into a folder that already holds some.

    Raises:
        UsageError: If it does, and the user has not allowed it.
    """
    folder = Path(path)
    if not overwrite and folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f'{what}: {folder} is not empty: name another folder, or allow it by --overwrite.')


def write_text(path: str | Path, text: str) -> None:
    """Write a text file, complete or not at all.

    Raises:
        OSError: If that fails; what stood there still does.
    """
    atomic.write(path, text.encode(), 'nothing was written')


def write_config(cfg: Config, path: str | Path) -> None:
    """Write a config with all its bases merged: ``.py`` under our header, or JSON or YAML.

    Args:
        cfg (Config): The config.
        path (str | Path): The file; :func:`claim` it first.
    """
    path = Path(path)
    if path.suffix == '.py':
        write_text(path, HEADER + cfg.pretty_text)
        return
    text = dump(cfg.to_dict(), file_format=path.suffix[1:])
    write_text(path, text if path.suffix == '.json' else HEADER + text)
