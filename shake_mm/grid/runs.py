"""Train several configs in processes of their own, a few at a time, and follow their logs."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import locks
from ..errors import UsageError
from ..outputs import claim, write_text
from .run import DONE, Run, clear, noted
from .scalars import Scalars, read_run
from .sharing import Seat

TRAIN = (sys.executable, '-m', 'shake_mm.cli.train')
"""The command that trains a config: what ``tools/train.py`` calls."""
_TAIL = 25


class RunFailed(RuntimeError):
    """A training ended with an error; the message holds the end of its output."""


def train_all(
    runs: Sequence[Run],
    command: Sequence[str] = TRAIN,
    jobs: int = 1,
    threads: int = 1,
    watch: Callable[[Run, str, Scalars], Any] = lambda run, state, scalars: None,
    interval: float = 0.5,
    keep_going: bool = False,
    seats: Mapping[Run, Seat] | None = None,
    switches: Mapping[Run, Sequence[str]] | None = None,
    deadline: float = math.inf,
    resume: bool = False,
) -> dict[Run, str]:
    """Train all runs; finished ones are skipped and unfinished ones begin anew, so that their seed holds.

    Args:
        runs (sequence of Run): What to train.
        command (sequence of str): What trains a config.
        jobs (int): How many at a time. Defaults to 1.
        threads (int): Of each. Defaults to 1.
        watch (callable): Called as ``watch(run, state, scalars)``, with ``'skipped'``, ``'running'``, ``'finished'``,
            ``'stopped'`` or ``'failed'``.
        interval (float): Seconds between two looks at the logs. Defaults to 0.5.
        keep_going (bool): Train the others when one fails. Defaults to False.
        seats (dict[Run, Seat], optional): Of runs that share a teacher.
        switches (dict[Run, sequence of str], optional): Switches of the command by run, beside the run's own.
        deadline (float): When no further run begins, by ``time.monotonic()``. Defaults to never.
        resume (bool): Whether unfinished runs go on from their last checkpoint, which they must leave behind, and are
            stopped at the deadline rather than awaited. Defaults to False.

    Returns:
        dict[Run, str]: What failed, and for each a sentence with the end of its output.

    Raises:
        RunFailed: If one of them fails and ``keep_going`` is False; the others are stopped.
    """
    check_jobs(jobs)
    waiting = []
    for run in runs:
        if run.finished():
            watch(run, 'skipped', logged(run))
        else:
            waiting.append(run)
    team = _Team(command, threads, watch, keep_going, seats or {}, switches or {}, resume)
    try:
        while team.active or (waiting and time.monotonic() < deadline):
            while waiting and len(team.active) < jobs and time.monotonic() < deadline:
                team.begin(waiting.pop(0))
            time.sleep(interval)
            if stopped := resume and time.monotonic() >= deadline:
                team.stop()
            team.look(stopped)
    finally:
        team.stop()
    return team.failures


@dataclass
class _Team:
    """The trainings that are running, and what failed; see :func:`train_all` for the arguments."""

    command: Sequence[str]
    threads: int
    watch: Callable[[Run, str, Scalars], Any]
    keep_going: bool
    seats: Mapping[Run, Seat]
    switches: Mapping[Run, Sequence[str]]
    resume: bool
    active: dict[Run, subprocess.Popen] = field(default_factory=dict)
    failures: dict[Run, str] = field(default_factory=dict)

    def begin(self, run: Run) -> None:
        """Start a run."""
        command = (*self.command, *self.switches.get(run, ()))
        try:
            self.active[run] = _start(run, command, self.threads, self.resume, self.seats.get(run))
        except UsageError as error:
            if not self.keep_going:
                raise
            self.failures[run] = f'{run.name} was not trained: {error}'
            self.watch(run, 'failed', logged(run))

    def look(self, stopped: bool) -> None:
        """Tell what became of each run, and note those that are finished."""
        for run, process in list(self.active.items()):
            if (state := _state(process.poll(), stopped)) != 'running':
                del self.active[run]
            if state == 'failed':
                self.failures[run] = failure(run.name, process.returncode, run.log)
                if not self.keep_going:
                    raise RunFailed(self.failures[run])
            if state == 'finished':
                write_text(run.work_dir / DONE, json.dumps({'fingerprint': run.fingerprint}))
            self.watch(run, state, logged(run))

    def stop(self) -> None:
        """End the processes, by the signal that lets them leave what they go on from."""
        _stop(list(self.active.values()))


def _state(status: int | None, stopped: bool) -> str:
    """What an exit status says; that of a run which was stopped is its signal, or that it may go on."""
    if status is None:
        return 'running'
    if stopped and (status < 0 or status == os.EX_TEMPFAIL):
        return 'stopped'
    return 'failed' if status else 'finished'


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


def _start(run: Run, command: Sequence[str], threads: int, resume: bool, seat: Seat | None) -> subprocess.Popen:
    with nullcontext() if seat is None else closing(seat):  # which the process inherits
        with locks.locked(run.work_dir, 'a grid'):
            # There may be nothing to go on from, or the training of another config.
            if not resume or noted(run).get('begun') != run.fingerprint:
                clear(run)
            claim(run.log, run.name, overwrite=True)
            run.log.touch()
            if resume:
                write_text(run.work_dir / DONE, json.dumps({'begun': run.fingerprint}))
        again = ['--resume', 'auto'] if resume else []
        shared = [] if seat is None else ['--share-teacher', str(seat.path)]
        arguments = [str(run.config), '--work-dir', str(run.work_dir), *again, *run.switches, *shared]
        with run.log.open('ab' if resume else 'wb') as log:
            # A session of its own: Ctrl-C reaches this process alone, which then stops the others.
            return subprocess.Popen(
                [*command, *arguments, '--cfg-options', *run.all_options],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, 'OMP_NUM_THREADS': str(threads)},
                start_new_session=True,
                pass_fds=() if seat is None else (seat.handle,),
            )


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
