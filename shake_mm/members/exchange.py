"""What runs that see the same batches hand each other: a folder in memory, with a file for each of the last steps."""

import fcntl
import json
import os
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from logging import WARNING
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from mmengine.logging import print_log

from ..errors import UsageError
from ..safe_io import read

AHEAD = 8
"""Steps that a run may be ahead of the last one: what is kept in memory."""
PATIENCE = 600.0
"""Seconds that a run waits for another one, which may be validating, before it goes on by itself."""
RUNS, PLACES = 'runs.json', 'at'
"""The names of a group's runs, and the steps where they are."""
_OVER = np.iinfo(np.int64).max


class Group:
    """Runs that see the same batches, as one of them sees them.

    Whoever starts them makes the folder: the names of the runs, where they are, and for each an empty file, its seat,
    which is locked (``flock``) by a handle that its process inherits. So a run counts from before it begins until its
    process ends, however it ends, and nobody waits for one that is gone.

    Args:
        seat (str): Path of this run's seat, ``FOLDER/NUMBER``.

    Raises:
        UsageError: If there is no such group.
    """

    def __init__(self, seat: str) -> None:
        self.folder = Path(seat).parent
        try:
            self.number = int(Path(seat).name)
            self.names: list[str] = json.loads((self.folder / RUNS).read_text(encoding='utf-8'))
            self.name = self.names[self.number]
            self._at = np.memmap(self.folder / PLACES, np.int64, 'r+', shape=(len(self.names),))
        except (OSError, ValueError, IndexError):
            raise UsageError(
                f'--share-teacher: {seat} is no place in a group of runs: leave it out here, and give --share-teacher '
                'to tools/run_grid.py.'
            ) from None
        self._left: set[int] = set()

    def __deepcopy__(self, memo: dict) -> 'Group':
        """Copies of a model are of the same run."""
        return self

    def announce(self, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Tell the others what this run wants, and wait for all that have not ended.

        Args:
            wanted (dict): Plain values.

        Returns:
            list[dict]: What each wants that has told, this one among them.
        """
        own = self.folder / f'{self.number}.json'
        draft = own.with_suffix('.part')
        draft.write_text(json.dumps(wanted), encoding='utf-8')
        draft.replace(own)

        def silent() -> list[int]:
            return [other for other in self._others() if not (self.folder / f'{other}.json').exists()]

        if not _until(lambda: not silent()):
            self._give_up(silent())
        told = (self.folder / f'{number}.json' for number in range(len(self.names)))
        return [json.loads(path.read_text(encoding='utf-8')) for path in told if path.exists()]

    def enter(self, step: int) -> None:
        """Say that this run is at a step, and needs no earlier one."""
        self._at[self.number] = step

    def leave(self) -> None:
        """Say that this run needs nothing more."""
        self._at[self.number] = _OVER

    def wait_for_room(self, step: int) -> None:
        """Wait until nobody is further behind than what is kept."""

        def behind() -> list[int]:
            return [other for other in self._others() if step - self._at[other] >= AHEAD]

        if not _until(lambda: not behind()):
            self._give_up(behind())

    def oldest(self) -> int:
        """The earliest step that a run needs."""
        return int(min(self._at[number] for number in (self.number, *self._others())))

    def _others(self) -> list[int]:
        """The runs that may need something yet."""
        waited = (n for n in range(len(self.names)) if n != self.number and n not in self._left)
        there = []
        for number in waited:
            if self._at[number] == _OVER:
                self._left.add(number)
            elif is_taken(self.folder / str(number)):
                there.append(number)
            else:
                self._left.add(number)
                print_log(f'{self.names[number]} has ended early, and shares no teacher any more.', 'current', WARNING)
        return there

    def _give_up(self, numbers: Collection[int]) -> None:
        """Wait no more for runs that do not go on; if they do, they compute what they miss by themselves."""
        self._left.update(numbers)
        names = ', '.join(self.names[number] for number in numbers)
        print_log(f'{names} does not go on for {PATIENCE:.0f} seconds, and is not waited for.', 'current', WARNING)


class Exchange:
    """What a teacher makes of each batch, computed by the run that comes first and read by the others.

    Args:
        group (Group): The runs.
        key (str): Names the teacher: a fingerprint.
        where (str): The teacher, named in errors.
    """

    def __init__(self, group: Group, key: str, where: str) -> None:
        self.group, self.folder, self.where = group, group.folder / key, where
        self.folder.mkdir(exist_ok=True)
        self._told = False

    def __deepcopy__(self, memo: dict) -> 'Exchange':
        """Copies of a model are of the same run."""
        return self

    def take(
        self, step: int, batch: str, needed: Collection[str], compute: Callable[[], dict[str, Any]]
    ) -> tuple[dict[str, Any], bool]:
        """What the teacher makes in a step.

        Args:
            step (int): The iteration.
            batch (str): Fingerprint of the batch.
            needed (collection of str): Names of values that must be among it.
            compute (callable): Makes it: a dict of tensors, in lists, tuples and dicts.

        Returns:
            tuple[dict, bool]: The values, on the CPU where they were read, and whether they were computed here.

        Raises:
            UsageError: If another run has another batch in this step.
        """
        self.group.wait_for_room(step)
        path = self.folder / f'{step}.pt'
        with open(self.folder / 'turn', 'ab') as turn:  # whose lock ends with this block, or this process
            if not _until(lambda: path.exists() or _locked(turn)):
                self._tell(f'{self.where}: another run does not end its pass; this one computes its own.')
            if path.exists() and (found := self._read(path, step, batch, needed)) is not None:
                return found, False
            values = compute()
            self._publish(path, dict(batch=batch, run=self.group.name, values=values))
        return values, True

    def _read(self, path: Path, step: int, batch: str, needed: Collection[str]) -> dict[str, Any] | None:
        """What another run has computed; None if it was not told what this one needs."""
        found = read(path, self.where)
        if found['batch'] != batch:
            raise UsageError(
                f'{self.where}: in step {step} this run sees another batch than {found["run"]}, with which it shares a '
                'teacher: give both the same data, pipeline, batch augmentation and precision (and a data_seed where '
                'their seeds differ), or train them without --share-teacher.'
            )
        return found['values'] if found['values'].keys() >= set(needed) else None

    def _publish(self, path: Path, content: dict[str, Any]) -> None:
        """Write a step, whole or not at all, and remove those that nobody needs."""
        draft = path.with_suffix(f'.{self.group.number}')
        try:
            torch.save(content, draft)
            draft.replace(path)
        except (OSError, RuntimeError) as error:  # (torch's writer has errors of its own)
            self._tell(f'{self.where}: what it makes cannot be shared ({error}); each run computes it.')
            draft.unlink(missing_ok=True)
        oldest = self.group.oldest()
        for old in self.folder.glob('*.pt'):
            if int(old.stem) < oldest:
                old.unlink(missing_ok=True)

    def _tell(self, text: str) -> None:
        if not self._told:
            self._told = True
            print_log(text, 'current', WARNING)


def is_taken(seat: Path) -> bool:
    """Whether a living process holds the lock of a file."""
    with suppress(FileNotFoundError), open(seat, 'rb') as file:
        return not _locked(file, fcntl.LOCK_SH)  # others may ask at the same moment
    return False


def _locked(file: IO[bytes], kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _until(done: Callable[[], Any]) -> bool:
    """Wait for something; False if that takes longer than :data:`PATIENCE`."""
    pause, end = 2e-4, time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
        pause = min(2 * pause, 5e-3)
    return True


def make_group(folder: Path, names: list[str]) -> list[int]:
    """Lay out the folder of a group.

    Args:
        folder (Path): An empty one.
        names (list[str]): Of the runs, in the order of their seats.

    Returns:
        list[int]: A handle for each seat, which is taken until the last process has closed it or ended.
    """
    (folder / RUNS).write_text(json.dumps(names), encoding='utf-8')
    np.zeros(len(names), np.int64).tofile(folder / PLACES)
    handles = [os.open(folder / str(number), os.O_RDWR | os.O_CREAT, 0o600) for number in range(len(names))]
    for handle in handles:
        fcntl.flock(handle, fcntl.LOCK_EX)
    return handles
