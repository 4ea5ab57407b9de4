"""What is kept of the runs: one small JSON file a study, which the pages are made from."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shake_mm.errors import UsageError
from shake_mm.reports import write_record

FOLDER = Path(__file__).resolve().parents[2] / 'results'


@dataclass(frozen=True)
class Record:
    """A finished run.

    Args:
        row (str): The row's name.
        pair (str): ``TEACHER_STUDENT``.
        seed (int): Of the student.
        value (float): The study's metric, in percent.
        gap (float | None): Divergence of the student from the teacher on the same pictures, in nats; None beside
            peers, who are trained along.
        step (float | None): Median of the logged seconds of an iteration.
        config (str): Fingerprint of what was trained.
        commit (str | None): Of this checkout.
        machine (str): Processor, cores and versions, in one line.
        date (str): Of the end of the run.
        share (float | None): Of all divergences in the gradient at the student's trunk, mean over the run's
            measurements (see :class:`~shake_mm.hooks.GradientShareHook`).
        teacher (float | None): The study's metric of the pair's teacher, in percent, on the same pictures.
    """

    row: str
    pair: str
    seed: int
    value: float
    gap: float | None
    step: float | None
    config: str
    commit: str | None
    machine: str
    date: str
    share: float | None = None
    teacher: float | None = None

    @property
    def key(self) -> tuple[str, str, int]:
        """What is measured once: row, pair and seed."""
        return self.row, self.pair, self.seed


def read(study: str, folder: Path = FOLDER) -> list[Record]:
    """The records of a study, none where it was not run.

    Raises:
        UsageError: If the file is damaged.
    """
    path = folder / f'{study}.json'
    if not path.is_file():
        return []
    try:
        return [Record(**entry) for entry in json.loads(path.read_text(encoding='utf-8'))['records']]
    except (ValueError, TypeError, LookupError) as error:
        raise UsageError(f'{path} is damaged ({error}): take it from the repository again.') from error


def add(study: str, record: Record, folder: Path = FOLDER) -> None:
    """Keep a record, in the place of an earlier one of the same row, pair and seed."""
    kept = {known.key: known for known in (*read(study, folder), record)}
    _write(study, kept.values(), folder)


def _write(study: str, records: Iterable[Record], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, Any]] = [asdict(record) for record in sorted(records, key=lambda record: record.key)]
    write_record(folder / f'{study}.json', {'study': study, 'records': entries}, 'analysis.evidence')
