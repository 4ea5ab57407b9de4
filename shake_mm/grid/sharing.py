"""Which runs of a grid share a teacher, and the folder by which they do."""

import json
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..members import make_group
from ..members.exchange import is_taken
from .run import Run

PREFIX = 'shake_mm-shared-'
_MEMORY = Path('/dev/shm')
_ROOM, _HOUR = 2**30, 3600


class Seat:
    """A run's place in a group, taken from now until its process ends, or :meth:`close` says that there is none.

    Args:
        path (Path): What its process is told.
        handle (int): What its process inherits.
    """

    def __init__(self, path: Path, handle: int) -> None:
        self.path, self.handle = path, handle
        self._closed = False

    def close(self) -> None:
        """Leave the seat to the process, if there is one."""
        if not self._closed:
            self._closed = True
            os.close(self.handle)


@contextmanager
def seated(runs: Sequence[Run]) -> Iterator[dict[Run, Seat]]:
    """Seats for runs that share a teacher, in a folder that is gone afterwards.

    Args:
        runs (sequence of Run): Runs that are trained at the same time.
    """
    remove_stale(base := _base())
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    handles = make_group(folder, [run.name for run in runs])
    seats = {run: Seat(folder / str(number), handle) for number, (run, handle) in enumerate(zip(runs, handles))}
    try:
        yield seats
    finally:
        for seat in seats.values():
            seat.close()
        shutil.rmtree(folder, ignore_errors=True)


def _base() -> Path:
    """Where files are memory, if there is enough of it."""
    with suppress(OSError):
        if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= _ROOM:
            return _MEMORY
    return Path(tempfile.gettempdir())


def remove_stale(base: Path) -> None:
    """Remove the folders of grids that were killed, runs and all."""
    for folder in base.glob(f'{PREFIX}*'):
        with suppress(OSError):
            about = folder.lstat()
            old = time.time() - about.st_mtime > _HOUR
            if old and about.st_uid == os.getuid() and not any(map(is_taken, folder.glob('[0-9]*'))):
                shutil.rmtree(folder)


def groups_of(runs: Sequence[Run], jobs: int) -> list[list[Run]]:
    """Put runs together that see the same batches and have a teacher in common.

    Args:
        runs (sequence of Run): Runs that may be trained at the same time.
        jobs (int): How many are, at most.

    Returns:
        list[list[Run]]: Groups, of two runs or more each.
    """
    batches: dict[str, list[Run]] = {}
    for run in runs:
        batches.setdefault(_batches(run), []).append(run)
    groups = []
    for alike in batches.values():
        teachers = {run: _teachers(run) for run in alike}
        common = Counter(teacher for own in teachers.values() for teacher in own)
        sharing = [run for run in alike if any(common[teacher] > 1 for teacher in teachers[run])]
        groups += [sharing[i : i + jobs] for i in range(0, len(sharing), jobs)]
    return [group for group in groups if len(group) > 1]


def check_shared(runs: Sequence[Run], jobs: int) -> None:
    """Refuse a grid of which no two runs can share a teacher.

    Raises:
        UsageError: With the ways to have some.
    """
    if not groups_of(runs, jobs):
        raise UsageError(
            '--share-teacher: no two of these runs have a frozen teacher in common and see the same batches: give '
            'configs of the same data, batch size and preprocessing, --data-seed where only the seeds differ, and '
            '--jobs 2 or more, or leave it out.'
        )


def _batches(run: Run) -> str:
    """What the batches of a run are made of, as a text."""
    cfg = run.load()
    model = cfg.get('model') or {}
    student = model.get('student')
    own = student.get('data_preprocessor') if isinstance(student, dict) else None
    seed = (cfg.get('train_cfg') or {}).get('data_seed')
    parts = [cfg.get('train_dataloader'), cfg.get('data_preprocessor'), model.get('data_preprocessor'), own]
    return _text([run.seed if seed is None else seed, *parts])


def _teachers(run: Run) -> set[str]:
    """The frozen teachers of a run, each as a text."""
    teachers: Any = (run.load().get('model') or {}).get('teachers') or ()
    entries = [teachers] if isinstance(teachers, dict) else teachers
    frozen = (entry for entry in entries if isinstance(entry, dict) and not entry.get('trainable'))
    return {_text({key: entry[key] for key in entry if key != 'taps'}) for entry in frozen if entry.get('checkpoint')}


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=repr)
