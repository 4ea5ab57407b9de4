"""What KD and SHAKE add to a student, over all that was reported: the README's table, a longer one, and a picture."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from analysis.evidence import records
from analysis.evidence.pages import interval
from analysis.evidence.records import Record
from analysis.evidence.rows import PLAIN
from analysis.evidence.studies import STUDIES, Study
from shake_mm.errors import UsageError
from shake_mm.outputs import write_text

COMPARED = ('KD', 'SHAKE')
"""What is held against the student alone, each with what it takes without an argument."""
LEAST = 3
"""Seeds that a row needs for an interval worth a table."""
BEGIN = '<!-- written by: python -m analysis.evidence -->'
END = '<!-- end -->'
NAMES = {
    'resnet8': 'ResNet-8',
    'shufflev2': 'ShuffleNetV2',
    'shufflev2-tiny': 'ShuffleNetV2',
    'faster-rcnn-r18-w8': 'Faster R-CNN',
    'retinanet-r18-w8': 'RetinaNet',
    'fcos-r18-w8': 'FCOS',
    'rtmdet-cspnext-w32': 'RTMDet',
}


class Report(NamedTuple):
    """The records of a pair on test pictures.

    Args:
        study (Study): Where they come from.
        pair (str): ``TEACHER_STUDENT``.
        rows (dict): Records by row and seed, of which one row is the student alone.
    """

    study: Study
    pair: str
    rows: Mapping[str, Mapping[int, Record]]

    @property
    def student(self) -> str:
        """The student's name as people write it."""
        student = self.pair.partition('_')[2]
        return NAMES.get(student, student)

    @property
    def unit(self) -> str:
        """What its figures are: points of AP, or percent."""
        return 'AP' if 'mAP' in self.study.metric else '%'

    def differences(self, row: str, base: str = PLAIN) -> list[float]:
        """Of a row to another, paired by seed."""
        of, to = self.rows[row], self.rows[base]
        return [of[seed].value - to[seed].value for seed in sorted(of.keys() & to.keys())]


def reports(folder: Path = records.FOLDER) -> list[Report]:
    """What was reported on test pictures of the student alone, by KD and by SHAKE, with enough seeds each."""
    found = []
    for study in STUDIES.values():
        of = records.read(study.name, folder) if study.split == 'test' else []
        for pair in study.pairs:
            rows = {row.name: {r.seed: r for r in of if (r.row, r.pair) == (row.name, pair)} for row in study.rows}
            if all(len(rows[name]) >= LEAST for name in (PLAIN, *COMPARED)):
                found.append(Report(study, pair, {name: row for name, row in rows.items() if row}))
    return found


def short_table(found: Sequence[Report]) -> str:
    """The README's: a line a student, its own figure and what is added to it."""
    lines = ['| on test pictures | alone | KD | SHAKE |', '|---|---|---|---|']
    for report in found:
        added = ' | '.join(_signed(report.differences(name)) for name in COMPARED)
        lines.append(f'| {report.student} | {_alone(report)} {report.unit} | {added} |')
    return '\n'.join(lines)


def long_table(found: Sequence[Report]) -> str:
    """What is added, and SHAKE held against KD, with where it comes from."""
    lines = ['| on test pictures | seeds | alone | KD adds | SHAKE adds | SHAKE − KD |', '|---|---|---|---|---|---|']
    for report in found:
        seeds = len(report.rows['SHAKE'].keys() & report.rows['KD'].keys() & report.rows[PLAIN].keys())
        page = f'evidence_{report.study.name.replace("-", "_")}.md'
        cells = (
            f'[{report.student}, {report.study.data}]({page})',
            str(seeds),
            f'{_alone(report)} {report.unit}',
            *(_signed(report.differences(name)) for name in COMPARED),
            _signed(report.differences('SHAKE', 'KD')),
        )
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines)


def _alone(report: Report) -> str:
    values = [record.value for record in report.rows[PLAIN].values()]
    return f'{sum(values) / len(values):.1f}'


def _signed(differences: Sequence[float]) -> str:
    mean, half = interval(differences)
    told = f'{round(mean, 1) + 0.0:+.1f}'  # no -0.0
    return (told if math.isnan(half) else f'{told} ({mean - half:.1f} to {mean + half:.1f})').replace('-', '−')


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
    from analysis.plots.intervals import draw_intervals

    found = reports(folder)
    if not found:
        return []
    pages = {root / 'README.md': short_table(found), root / 'docs' / 'which_method.md': long_table(found)}
    for path, text in pages.items():
        fill(path, text)
    picture = root / 'docs' / 'which_method.png'
    draw_intervals(found, picture)
    return [*pages, picture]
