"""Pages from the records: means, and what each row adds to the student alone and to KD, paired by seed."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, median, stdev

from scipy import stats

from analysis.evidence import records
from analysis.evidence.records import Record
from analysis.evidence.rows import PLAIN
from analysis.evidence.studies import Study
from analysis.markdown import EMPTY, page
from shake_mm.reports import write_page

BASES = {PLAIN: 'to plain', 'KD': 'to KD'}
"""Rows that others are compared with, and what the column is called."""
ROLE = {
    'val': 'Measured on pictures that are held back from training; settings may be chosen by it.',
    'test': 'Measured on test pictures, after everything had been chosen; nothing was chosen by it.',
}


def interval(differences: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Mean of paired differences, and half of the width of Student's interval around it; NaN for a single pair."""
    n = len(differences)
    if n < 2:
        return fmean(differences), math.nan
    quantile = stats.t.ppf((1 + confidence) / 2, n - 1)
    return fmean(differences), float(quantile) * stdev(differences) / math.sqrt(n)


def render(study: Study, found: Sequence[Record]) -> str:
    """A study's page: a table for each pair.

    Args:
        study (Study): The study.
        found (sequence of Record): Its records, of which those of rows that it no longer has do not count.
    """
    parts = [f'# {study.question}', f'{study.told}, {len(study.seeds)} seeds planned. {ROLE[study.split]}']
    unrun: list[str] = []
    for pair in study.pairs:
        rows = rows_of(study, pair, found)
        if not rows:
            unrun.append(pair.replace('_', ' → '))
            continue
        known = teacher_of(rows)
        told = [] if known is None else [f'The teacher: {known:.2f} {study.unit}.']
        parts += [f'## {pair.replace("_", " → ")}', *told, table(rows, study.unit)]
        absent = [row.name for row in study.rows_of(pair) if len(rows.get(row.name, ())) < len(study.seeds)]
        if absent:
            parts.append(f'Not whole yet: {", ".join(absent)}.')
    parts += [f'Not run yet: {", ".join(unrun)}.'] if unrun else []
    parts += [_how(study, found)]
    return page(parts)


def rows_of(study: Study, pair: str, found: Sequence[Record]) -> dict[str, dict[int, Record]]:
    """The records of a pair by row and seed, for the rows that have some."""
    rows = {row.name: {r.seed: r for r in found if (r.row, r.pair) == (row.name, pair)} for row in study.rows_of(pair)}
    return {name: of for name, of in rows.items() if of}


def teacher_of(rows: Mapping[str, Mapping[int, Record]]) -> float | None:
    """The teacher's own figure, where some of a pair's records tell it: those of earlier runs do not."""
    known = [r.teacher for of in rows.values() for r in of.values() if r.teacher is not None]
    return fmean(known) if known else None


def differences(of: Mapping[int, Record], base: Mapping[int, Record]) -> list[float]:
    """Of a row to another, for the seeds that both have."""
    return [of[seed].value - base[seed].value for seed in sorted(of.keys() & base.keys())]


def table(rows: Mapping[str, Mapping[int, Record]], unit: str) -> str:
    """A Markdown table of rows by seed, the best one first.

    Args:
        rows (dict): Records by row and seed.
        unit (str): What their figures are.
    """
    bases = [base for base in BASES if base in rows]
    head = ['row', unit, 'seeds', *(BASES[base] for base in bases), 'gap to teacher', 'share', 'step / KD']
    lines = [head, ['---'] * len(head)]
    of_kd = _step(rows['KD']) if 'KD' in rows else None
    for name, of in sorted(rows.items(), key=lambda item: -fmean(r.value for r in item[1].values())):
        values, gaps = [r.value for r in of.values()], [r.gap for r in of.values() if r.gap is not None]
        shares = [r.share for r in of.values() if r.share is not None]
        spread = f' ± {stdev(values):.2f}' if len(values) > 1 else ''
        step = _step(of)
        lines.append(
            [
                name,
                f'{fmean(values):.2f}{spread}',
                str(len(of)),
                *(_difference(of, rows[base]) if base != name else EMPTY for base in bases),
                f'{fmean(gaps):.3f}' if gaps else EMPTY,
                f'{100 * fmean(shares):.0f} %' if shares else EMPTY,
                f'{step / of_kd:.2f}' if step and of_kd else EMPTY,
            ]
        )
    return '\n'.join(f'| {" | ".join(cells)} |' for cells in lines)


def _difference(of: Mapping[int, Record], base: Mapping[int, Record]) -> str:
    found = differences(of, base)
    if not found:
        return EMPTY
    mean, half = interval(found)
    return f'{mean:+.2f}' if math.isnan(half) else f'{mean:+.2f} [{mean - half:+.2f}, {mean + half:+.2f}]'


def _step(of: Mapping[int, Record]) -> float | None:
    steps = [record.step for record in of.values() if record.step]
    return median(steps) if steps else None


def _how(study: Study, found: Sequence[Record]) -> str:
    """How it was measured, and how to repeat it."""
    commits = sorted({record.commit for record in found if record.commit})
    machines = sorted({record.machine for record in found})
    lines = [
        '- Columns: mean ± standard deviation over seeds; difference to another row, paired by seed, with the 95 % '
        "interval of Student's t; divergence of the student from the teacher in nats; mean share of all divergences "
        "in the gradient at the end of the student's trunk; median of the logged seconds of "
        'an iteration over that of KD, a rough figure, since runs are not timed side by side.',
        f'- To repeat or go on: `python -m analysis.evidence {study.name} --minutes 60`; one row: add '
        '`--row NAME --seed 0`.',
        f'- Machine: {"; ".join(machines)}.' if machines else '',
        f'- Commit: {", ".join(commits)}.' if commits else '',
    ]
    return '\n'.join(line for line in lines if line)


def page_of(study: Study) -> str:
    """The file name of a study's page."""
    return f'evidence_{study.name.replace("-", "_")}.md'


def write(study: Study, docs: Path, folder: Path = records.FOLDER) -> Path | None:
    """Write the page of a study, if any of it was run."""
    found = records.read(study.name, folder)
    if not found:
        return None
    path = docs / page_of(study)
    write_page(path, render(study, found), 'analysis.evidence')
    return path
