"""Show the progress of trainings on a console."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from .run import Run
from .scalars import Scalars

_KEPT = 12


class Display:
    """Show the progress of runs: bars in a terminal, otherwise a line for each validation.

    Args:
        console (Console): Where to.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bars = Progress(
            TextColumn('{task.description:<18}'),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn('epochs  {task.fields[note]}'),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[Run, TaskID] = {}
        self._ended: list[TaskID] = []
        self._told: dict[Run, int] = {}

    def __call__(self, run: Run, state: str, scalars: Scalars) -> None:
        """Show a run's state, as :func:`shake_mm.grid.runs.train_all` reports it."""
        note = progress_note(scalars)
        if self.console.is_terminal:
            self._draw(run, state, scalars, note)
        elif state == 'skipped':
            self._say(f'{run.name}: finished earlier, not trained again  {note}')
        elif state == 'failed':
            self._say(f'{run.name}: failed')
        elif len(scalars.val) > self._told.get(run, 0):
            self._told[run] = len(scalars.val)
            self._say(f'{run.name}: epoch {scalars.val[-1]["step"]}/{run.epochs}  {note}')

    def _say(self, line: str) -> None:
        self.console.print(line, highlight=False, soft_wrap=True)

    def _draw(self, run: Run, state: str, scalars: Scalars, note: str) -> None:
        if run not in self._tasks:
            self._tasks[run] = self.bars.add_task(run.name, total=run.epochs, note='')
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
    """The last loss and the last accuracy or AP, if any have been logged."""
    parts = [f'loss {scalars.train[-1]["loss"]:.3f}'] if scalars.train else []
    if scalars.val and 'accuracy/top1' in scalars.val[-1]:
        parts.append(f'accuracy {scalars.val[-1]["accuracy/top1"]:.2f} %')
    if scalars.val and 'coco/bbox_mAP' in scalars.val[-1]:
        parts.append(f'AP {100 * scalars.val[-1]["coco/bbox_mAP"]:.1f}')
    return '  '.join(parts)
