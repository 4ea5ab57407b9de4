"""Processes that die at the very instant at which they are about to change a folder, one instant after the other."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

FORK = multiprocessing.get_context('fork')
CHANGES = ('os.rename', 'os.remove', 'os.mkdir', 'os.rmdir', 'os.link', 'os.chmod', 'os.truncate', 'tempfile.mkstemp')
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def die_before(number: int, folder: Path) -> None:
    """Send this process SIGKILL when it is about to make its change of this number in a folder, counted from 0.

    Python tells of each file that is opened, renamed, linked or removed before it does so.
    """
    left = [number]

    def hook(event: str, args: tuple) -> None:
        changes = event in CHANGES or (event == 'open' and isinstance(args[2], int) and args[2] & _WRITES)
        paths = [os.fspath(part) for part in args[:2] if isinstance(part, str | os.PathLike)]
        if changes and any(path.startswith(str(folder)) for path in paths):
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1

    sys.addaudithook(hook)


def in_process(work: Callable[[Path], Any], folder: Path, prepare: Callable[[], Any] | None = None) -> int:
    """Work at a folder in a process of its own; returns its exit status, negative for the signal that ended it."""

    def run() -> None:
        if prepare is not None:
            prepare()
        sys.exit(work(folder))

    process = FORK.Process(target=run)
    process.start()
    process.join(120)
    assert process.exitcode is not None
    return process.exitcode


def deaths(work: Callable[[Path], Any], root: Path, chosen: Callable[[int], bool]) -> Iterator[Path]:
    """Let a process die at each of its instants, in a folder of its own each time; yields the folders.

    Args:
        work (callable): Called with the folder; returns an exit status.
        root (Path): Where the folders are made.
        chosen (callable): Whether an instant, by its number, is tried; the last ones of all are the process's end.
    """
    for number in range(1000):
        folder = root / f'cut{number}'
        if not chosen(number):
            continue
        status = in_process(work, folder, partial(die_before, number, folder))
        if status == 0:
            return
        assert status == -signal.SIGKILL, number
        yield folder
    raise AssertionError('it does not end')
