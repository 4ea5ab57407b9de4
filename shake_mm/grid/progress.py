"""Show the progress of trainings on a console."""

import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ..hooks.summary import duration
from .run import Run
from .scalars import Scalars

_KEPT = 12


class Display:
    """Show the progress of runs: bars in a terminal, otherwise a line for each validation.

    Args:
        console (Console): Where to.
        runs (sequence of Run): All there will be, to say which of them one is. Defaults to none.
    """

    def __init__(self, console: Console, runs: Sequence[Run] = ()) -> None:
        self.console = console
        self._places = {run: f'{i}/{len(runs)} ' for i, run in enumerate(runs, 1)}
        self._since: dict[Run, float] = {}
        self.bars = Progress(
            TextColumn('{task.description:<18}'),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn('epochs  {task.fields[note]}'),
            TimeElapsedColumn(),
            TextColumn('left'),
            TimeRemainingColumn(),
            speed_estimate_period=24 * 3600,  # an epoch may take hours
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[Run, TaskID] = {}
        self._ended: list[TaskID] = []
        self._told: dict[Run, int] = {}

    def __call__(self, run: Run, state: str, scalars: Scalars) -> None:
        """Show a run's state, as :func:`shake_mm.grid.runs.train_all` reports it."""
        note, name = progress_note(scalars), self._name(run)
        since = self._since.setdefault(run, time.monotonic())
        if self.console.is_terminal:
            self._draw(run, state, scalars, note)
        elif state == 'skipped':
            self._say(f'{name}: finished earlier, not trained again  {note}')
        elif state == 'failed':
            self._say(f'{name}: failed')
        elif len(scalars.val) > self._told.get(run, 0):
            self._told[run] = len(scalars.val)
            done = scalars.val[-1]['step']
            left = duration((time.monotonic() - since) / max(done, 1) * (run.epochs - done))
            self._say(f'{name}: epoch {done}/{run.epochs}  {note}' + f'  about {left} left' * (done < run.epochs))

    def _name(self, run: Run) -> str:
        return f'{self._places.get(run, "")}{run.name}'

    def _say(self, line: str) -> None:
        self.console.print(line, highlight=False, soft_wrap=True)

    def _draw(self, run: Run, state: str, scalars: Scalars, note: str) -> None:
        if run not in self._tasks:
            self._tasks[run] = self.bars.add_task(self._name(run), total=run.epochs, note='')
        task = self._tasks[run]
        # An epoch under way counts as done only when the next one logs, or the run ends.
        under_way = max(int(scalars.train[-1]['epoch']) - 1, 0) if scalars.train else 0
        done = run.epochs if state in ('skipped', 'finished') else under_way
        self.bars.update(task, completed=done, note='failed' if state == 'failed' else note)
        if state != 'running':
            self.bars.stop_task(task)
            self._ended.append(task)
        # With more bars than the terminal has lines, those of active runs would be hidden.
        while len(self._ended) > _KEPT:
            self.bars.remove_task(self._ended.pop(0))


def progress_note(scalars: Scalars) -> str:
    """The last loss and the last accuracy, AP or IoU, if any; with its epoch where the loss is a later one's."""
    parts = [f'loss {scalars.train[-1]["loss"]:.3f}'] if scalars.train else []
    last, number = scalars.val[-1] if scalars.val else {}, len(parts)
    if 'accuracy/top1' in last:
        parts.append(f'accuracy {last["accuracy/top1"]:.2f} %')
    if 'coco/bbox_mAP' in last:
        parts.append(f'AP {100 * last["coco/bbox_mAP"]:.1f}')
    if 'mIoU' in last:
        parts.append(f'mIoU {last["mIoU"]:.2f}')
    if len(parts) > number and scalars.train and scalars.train[-1]['epoch'] > last['step']:
        parts.append(f'(of epoch {last["step"]})')
    return '  '.join(parts)
