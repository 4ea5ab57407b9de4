"""Train several configs in processes of their own, a few at a time, and follow their logs."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .. import locks
from ..atomic import DRAFT, checkpoint_names
from ..engine.stages import total_epochs
from ..errors import UsageError
from ..explain import one_line
from ..options import parse_option
from ..outputs import claim, is_ours, write_text
from .scalars import Scalars, read_run

TRAIN = (sys.executable, '-m', 'shake_mm.cli.train')
"""The command that trains a config: what ``tools/train.py`` calls."""
_DONE = 'finished.json'
_LOG = 'output.log'
_TAIL = 25
# A start's logs, and what evaluates a member of it; what names the last checkpoint; the grid's own notes.
_WRITTEN = r'\d{8}_\d{6}|(teacher|proxy|peer)\d+(\.json|\.log)?|last_checkpoint(\.part)?|finished\.json|output\.log'
_STATES = {None: 'running', 0: 'finished'}


class RunFailed(RuntimeError):
    """A training ended with an error; the message holds the end of its output."""


@dataclass(frozen=True)
class Run:
    """One training.

    Args:
        name (str): For people, e.g. ``'SHAKE, seed 0'``.
        config (Path): The config file.
        work_dir (Path): Where it logs.
        seed (int): Its seed.
        options (tuple[str, ...]): ``key=value`` pairs, as ``--cfg-options`` takes them.
        after (tuple[Run, ...]): Runs whose results it uses: where they change, it is trained again.
    """

    name: str
    config: Path
    work_dir: Path
    seed: int
    options: tuple[str, ...] = ()
    after: tuple['Run', ...] = field(default=(), repr=False)

    @property
    def all_options(self) -> list[str]:
        """All ``key=value`` options, including the seed."""
        return [*self.options, f'randomness.seed={self.seed}']

    def load(self) -> Config:
        """The config as it will be trained."""
        cfg = Config.fromfile(self.config)
        try:
            cfg.merge_from_dict(dict(map(parse_option, self.all_options)))
        except Exception as error:  # mmengine's own, of many kinds, for keys that lead into a value
            raise UsageError(
                f'--cfg-options do not fit config {self.config}: {one_line(error)}: correct them'
            ) from error
        return cfg

    @cached_property
    def epochs(self) -> int:
        """How many epochs it trains, with those that its stages add."""
        return total_epochs(self.load())

    @property
    def checkpoint(self) -> Path:
        """The last epoch's checkpoint."""
        return self.work_dir / f'epoch_{self.epochs}.pth'

    @cached_property
    def fingerprint(self) -> str:
        """Identify what is trained: config text, seed, and the same of the runs before it."""
        text = '\n'.join([self.load().pretty_text, *(run.fingerprint for run in self.after)])
        return hashlib.sha256(text.encode()).hexdigest()

    def finished(self) -> bool:
        """Whether its work directory holds the finished training of this very config and seed."""
        return _noted(self).get('fingerprint') == self.fingerprint and self.checkpoint.is_file()


def train_all(
    runs: Sequence[Run],
    command: Sequence[str] = TRAIN,
    jobs: int = 1,
    threads: int = 1,
    watch: Callable[[Run, str, Scalars], Any] = lambda run, state, scalars: None,
    interval: float = 0.5,
    keep_going: bool = False,
) -> dict[Run, str]:
    """Train all runs; finished ones are skipped and unfinished ones begin anew, so that their seed holds.

    Args:
        runs (sequence of Run): What to train.
        command (sequence of str): What trains a config. Defaults to what ``tools/train.py`` calls.
        jobs (int): How many at a time. Defaults to 1.
        threads (int): Threads of each. Defaults to 1.
        watch (callable): Called as ``watch(run, state, scalars)`` with state ``'skipped'``, ``'running'``,
            ``'finished'`` or, with ``keep_going``, ``'failed'``.
        interval (float): Seconds between two looks at the logs. Defaults to 0.5.
        keep_going (bool): Train the others when one fails. Defaults to False.

    Returns:
        dict[Run, str]: What failed, and for each a sentence with the end of its output.

    Raises:
        RunFailed: If one of them fails and ``keep_going`` is False; the others are stopped.
    """
    check_jobs(jobs)
    active: dict[Run, subprocess.Popen] = {}
    failures: dict[Run, str] = {}
    waiting = [run for run in runs if not run.finished()]
    for run in runs:
        if run not in waiting:
            watch(run, 'skipped', logged(run))
    try:
        while waiting or active:
            while waiting and len(active) < jobs:
                run = waiting.pop(0)
                try:
                    active[run] = _start(run, command, threads)
                except UsageError as error:
                    if not keep_going:
                        raise
                    failures[run] = f'{run.name} was not trained: {error}'
                    watch(run, 'failed', logged(run))
            time.sleep(interval)
            for run, process in list(active.items()):
                state = _STATES.get(process.poll(), 'failed')
                if state != 'running':
                    del active[run]
                if state == 'failed':
                    failures[run] = failure(run.name, process.returncode, _log(run))
                    if not keep_going:
                        raise RunFailed(failures[run])
                if state == 'finished':
                    write_text(run.work_dir / _DONE, json.dumps({'fingerprint': run.fingerprint}))
                watch(run, state, logged(run))
    finally:
        _stop(list(active.values()))
    return failures


def check_jobs(jobs: int) -> None:
    """Refuse a number of trainings at a time with which none would ever begin.

    Raises:
        UsageError: If it is less than 1.
    """
    if jobs < 1:
        raise UsageError(f'--jobs is {jobs}, with which no run would begin: give 1 or more.')


def logged(run: Run) -> Scalars:
    """What a run has logged, for people to follow; nothing if its log is damaged, which must not stop the others."""
    try:
        return read_run(run.work_dir)
    except UsageError:
        return Scalars([], [])


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Take SIGTERM as Ctrl-C, so that the trainings are stopped with the process that started them."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def own_entries(run: Run) -> list[Path]:
    """What earlier trainings of a run wrote into its folder; other files and links do not count.

    Raises:
        UsageError: If the folder is not a run's: it holds files, but no training was started there by a grid.
    """
    folder = run.work_dir
    entries = [path for path in folder.iterdir() if path.name != locks.FILE] if folder.is_dir() else []
    if entries and not _log(run).is_file():
        raise UsageError(
            f'{run.name}: {folder} holds {entries[0].name}, but no run of a grid: move that, or name another folder by '
            '--work-dir.'
        )
    hook = (run.load().get('default_hooks') or {}).get('checkpoint') or {}
    written = re.compile(f'{_WRITTEN}|({checkpoint_names(hook)})({re.escape(DRAFT)})?')
    names = {path for path in entries if written.fullmatch(path.name) and not path.is_symlink()}
    kept = folder / f'{run.config.stem}.py'
    return [*names, *([kept] if kept.is_file() and is_ours(kept) else [])]


def clear(run: Run) -> None:
    """Delete what earlier trainings of a run wrote, and nothing else."""
    for path in own_entries(run):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def train_until(run: Run, deadline: float, command: Sequence[str] = TRAIN) -> bool:
    """Train a run, or go on with it at its last checkpoint, until a moment; its checkpoints must allow it.

    Args:
        run (Run): What to train.
        deadline (float): By ``time.monotonic()``.
        command (sequence of str): See :func:`train_all`.

    Returns:
        bool: Whether the run is finished. A training that fails raises :class:`RunFailed`.
    """
    if run.finished():
        return True
    if _noted(run).get('begun') != run.fingerprint:  # nothing, or the training of another config
        clear(run)
    process = _start(run, command, 1, resume=True)
    try:
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.5)
    finally:
        _stop([process])
    if process.returncode > 0 and process.returncode != os.EX_TEMPFAIL:  # not by the signal
        raise RunFailed(failure(run.name, process.returncode, _log(run)))
    if process.returncode == 0:
        write_text(run.work_dir / _DONE, json.dumps({'fingerprint': run.fingerprint}))
    return process.returncode == 0


def _start(run: Run, command: Sequence[str], threads: int, resume: bool = False) -> subprocess.Popen:
    with locks.locked(run.work_dir, 'a grid'):
        if not resume:
            clear(run)
        claim(_log(run), run.name, overwrite=True)
        _log(run).touch()
        if resume:
            write_text(run.work_dir / _DONE, json.dumps({'begun': run.fingerprint}))
    again = ['--resume', 'auto'] if resume else []
    arguments = [str(run.config), '--work-dir', str(run.work_dir), *again, '--cfg-options', *run.all_options]
    with _log(run).open('ab' if resume else 'wb') as log:
        # A session of its own: Ctrl-C reaches this process alone, which then stops the others.
        return subprocess.Popen(
            [*command, *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, 'OMP_NUM_THREADS': str(threads)},
            start_new_session=True,
        )


def _noted(run: Run) -> dict[str, Any]:
    """What a grid has noted of a run; nothing where there is none, or it is damaged."""
    with suppress(OSError, ValueError):
        noted = json.loads((run.work_dir / _DONE).read_text())
        return noted if isinstance(noted, dict) else {}
    return {}


def _stop(processes: Sequence[subprocess.Popen]) -> None:
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
    for process in processes:
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def failure(name: str, status: int, log: Path) -> str:
    """Say what failed, with the end of its output."""
    tail = '\n'.join(log.read_text(errors='replace').splitlines()[-_TAIL:])
    return f'{name} failed (exit status {status}); the end of {log}:\n{tail}'


def _log(run: Run) -> Path:
    return run.work_dir / _LOG
