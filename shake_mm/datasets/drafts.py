"""Sets that are drawn on first use: written beside their folder, and moved into place whole."""

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def drafted(folder: Path, is_whole: Callable[[Path], bool]) -> Iterator[Path]:
    """A folder to write a set into, which becomes ``folder`` in one step, so that nobody ever sees a part of it.

    Args:
        folder: The set's. Where another process was faster, it stays as it is.
        is_whole: Tells whether a folder holds all of the set.

    Yields:
        Path: An empty folder beside it.
    """
    draft = folder.with_name(f'.{folder.name}.{uuid.uuid4().hex}')
    draft.mkdir(parents=True)
    try:
        yield draft
        _install(draft, folder, is_whole)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _install(draft: Path, folder: Path, is_whole: Callable[[Path], bool]) -> None:
    """Rename the draft to the folder, unless another process was faster."""
    try:
        draft.rename(folder)
    except OSError:
        if is_whole(folder):
            return
        # Images were taken from a complete set, or a copy of it was interrupted: what remains is moved aside.
        remains = draft.with_name(f'{draft.name}.old')
        folder.rename(remains)
        draft.rename(folder)
        shutil.rmtree(remains)
