"""What KD and SHAKE add to a student, over all that was reported: the README's table, a longer one, and a picture."""

import math
from collections.abc import Sequence
from pathlib import Path

from analysis.evidence import records
from analysis.evidence.pages import interval, page_of
from analysis.evidence.reports import COMPARED, Report, reports
from analysis.evidence.rows import PLAIN
from analysis.markdown import EMPTY
from analysis.plots.intervals import draw_intervals
from shake_mm.errors import UsageError
from shake_mm.outputs import write_text

BEGIN = '<!-- written by: python -m analysis.evidence -->'
END = '<!-- end -->'


def short_table(found: Sequence[Report]) -> str:
    """The README's: a line a student (with its data, if it stands on several), and what is added to its own figure."""
    lines = ['| on test pictures | teacher | alone | KD | SHAKE |', '|---|---|---|---|---|']
    for report in found:
        added = ' | '.join(_signed(report.differences(name)) for name in COMPARED)
        data = {other.study.data for other in found if other.student == report.student}
        apart = (report.study.data if len(data) > 1 else '', report.study.setting)
        name = ', '.join(filter(None, (report.student, *apart)))
        lines.append(f'| {name} | {_teacher(report)} | {_alone(report)} {report.study.unit} | {added} |')
    return '\n'.join(lines)


def long_table(found: Sequence[Report]) -> str:
    """What is added, and SHAKE held against KD, with where it comes from."""
    head = ('on test pictures', 'seeds', 'teacher', 'alone', 'KD adds', 'SHAKE adds', 'SHAKE − KD')
    lines = [f'| {" | ".join(head)} |', '|---' * len(head) + '|']
    for report in found:
        seeds = len(report.rows['SHAKE'].keys() & report.rows['KD'].keys() & report.rows[PLAIN].keys())
        cells = (
            f'[{report.student}, {report.study.told}]({page_of(report.study)})',
            str(seeds),
            _teacher(report),
            f'{_alone(report)} {report.study.unit}',
            *(_signed(report.differences(name)) for name in COMPARED),
            _signed(report.differences('SHAKE', 'KD')),
        )
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines)


def _alone(report: Report) -> str:
    values = [record.value for record in report.rows[PLAIN].values()]
    return f'{sum(values) / len(values):.1f}'


def _teacher(report: Report) -> str:
    return EMPTY if report.teacher is None else f'{report.teacher:.1f}'


def _signed(differences: Sequence[float]) -> str:
    mean, half = interval(differences)
    told, low, high = (round(value, 1) + 0.0 for value in (mean, mean - half, mean + half))  # no -0.0
    return (f'{told:+.1f}' if math.isnan(half) else f'{told:+.1f} ({low:.1f} to {high:.1f})').replace('-', '−')


def fill(path: Path, text: str) -> None:
    """Put a table between the two comments of a page that is otherwise written by hand.

    Raises:
        UsageError: If the page has no such place.
    """
    page = path.read_text(encoding='utf-8')
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise UsageError(f'{path}: there is no place for the table: put the lines {BEGIN} and {END} there.')
    write_text(path, f'{head}{BEGIN}\n\n{text}\n\n{END}{tail}')


def write(root: Path, folder: Path = records.FOLDER) -> list[Path]:
    """Write both tables into their pages below a folder, and draw the picture.

    Args:
        root (Path): Of the checkout.
        folder (Path): Where the records are.

    Returns:
        list[Path]: What was written; nothing as long as nothing was reported.
    """
    found = reports(folder)
    if not found:
        return []
    pages = {root / 'README.md': short_table(found), root / 'docs' / 'which_method.md': long_table(found)}
    for path, text in pages.items():
        fill(path, text)
    picture = root / 'docs' / 'which_method.png'
    draw_intervals(found, picture)
    return [*pages, picture]
