"""Read back what a run logged (``vis_data/scalars.json`` of mmengine's ``LocalVisBackend``)."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ..errors import UsageError

Row = dict[str, float]
_LOGGED = (int, float, str, type(None))


class Scalars(NamedTuple):
    """What one run logged, in the order of its steps.

    Args:
        train (list[dict]): Rows of training: ``loss``, its terms, ``lr``, ``epoch``, ``iter``, ``step``.
        val (list[dict]): Rows of validation: the metrics and ``step``, which is the epoch.
    """

    train: list[Row]
    val: list[Row]

    def column(self, key: str, part: str = 'val') -> tuple[list[float], list[float]]:
        """Steps and values of one logged name, e.g. ``column('accuracy/top1')``.

        Args:
            key (str): The name.
            part (str): ``'train'`` or ``'val'``. Defaults to ``'val'``.

        Returns:
            tuple[list[float], list[float]]: Steps (epochs for ``'val'``, else iterations), and the values.
        """
        rows = [row for row in getattr(self, part) if key in row]
        return [row['step'] for row in rows], [row[key] for row in rows]

    def last(self, epoch: int | None = None) -> Row:
        """The last validation, never the best one.

        Args:
            epoch (int, optional): The epoch that it must be of.

        Raises:
            UsageError: If there is none, or it is of another epoch.
        """
        found = self.val[-1]['step'] if self.val else None
        if found is None or (epoch is not None and found != epoch):
            raise UsageError(
                f'the last logged validation is of epoch {found}, expected {epoch or "one"}: is the run finished?'
            )
        return self.val[-1]


def read_scalars(path: str | Path) -> Scalars:
    """Read one file.

    Args:
        path (str | Path): The ``scalars.json``. A last line that is still being written is left out.

    Raises:
        UsageError: If the file cannot be read, or holds a line that no run writes.
    """
    try:
        lines = Path(path).read_text(encoding='utf-8').splitlines(keepends=True)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"'{path}' cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}.") from None
    return _sorted(_row(line, i, path) for i, line in enumerate(lines, 1) if line.endswith('\n'))


def _row(line: str, number: int, path: str | Path) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    steps = row.get('step') if isinstance(row, dict) else None
    if not isinstance(steps, int | float) or not all(map(_is_logged, row.values())):
        raise UsageError(f"'{path}' is damaged in line {number}: take the line out, or train again.")
    return row


def _is_logged(value: object) -> bool:
    """Whether a run logs such values; a whole number must be one that a float can be."""
    return isinstance(value, _LOGGED) and not (isinstance(value, int) and abs(value) >= 2**64)


def read_run(work_dir: str | Path) -> Scalars:
    """Read a work directory, with all the parts of a resumed run; what was repeated counts as in the later part.

    Args:
        work_dir (str | Path): The run's folder, which holds one folder per start, named by its time.

    Returns:
        Scalars: Empty where nothing was logged so far.
    """
    parts = [read_scalars(path) for path in sorted(Path(work_dir).glob('*/vis_data/scalars.json'))]
    return Scalars(
        list({row['step']: row for part in parts for row in part.train}.values()),
        list({row['step']: row for part in parts for row in part.val}.values()),
    )


def _sorted(rows: Iterable[Row]) -> Scalars:
    # Rows of validation carry no epoch of their own: their step is the epoch.
    scalars = Scalars([], [])
    for row in rows:
        (scalars.train if 'epoch' in row else scalars.val).append(row)
    return scalars
