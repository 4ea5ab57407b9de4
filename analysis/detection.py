"""The page of a study on detectors: AP and AP50 of methods and pairs, and whether they differ by more than seeds do."""

from collections.abc import Callable, Sequence
from functools import partial

from analysis import paper
from analysis.collect import AP, AP50, Collection
from analysis.markdown import arrow, caption, footer, method_table, number, page
from analysis.summary import Stat, difference
from analysis.tables import BASELINE, TEACHER, PairTable, Row

METRICS = {'AP': AP, 'AP50': AP50}
WHAT = 'AP and AP50 as COCO defines them, in points,'
BESIDE = 'ResNet-101 → ResNet-50 on COCO'


def report(
    tables: Sequence[PairTable],
    collection: Collection,
    title: str,
    best: bool = False,
    intro: Sequence[str] = (),
    how: Sequence[str] = (),
) -> str:
    """The whole page: a table and the differences for each pair, and what to know about them.

    Args:
        tables (sequence of PairTable): From :func:`analysis.tables.arrange`.
        collection (Collection): Where they come from.
        title (str): Title of the page.
        best (bool): Whether the best validations were taken. Defaults to False.
        intro (sequence of str): Paragraphs to put below the caption.
        how (sequence of str): Sentences on command, time and machine.
    """
    parts = [f'# {title}', caption(collection, best, WHAT), *intro]
    for table in tables:
        comparisons = '\n'.join(f'- {sentence}' for sentence in differences(table))
        parts += [f'## {arrow(table.pair)}', detector_table(table), comparisons]
    if any(map(paper_figures, tables)):
        parts.append(
            f"The paper's figures are of its Table 4, {BESIDE}: other data and networks, of which at most the order of "
            'the methods is comparable. It reports no AP50 and no spread.'
        )
    return page([*parts, *footer(tables, collection, how)])


def points(row: Row, metric: str) -> Stat:
    """One metric over the seeds, in points."""
    return Stat.of(100 * seed[metric] for seed in row.seeds)


def paper_figures(table: PairTable) -> dict[str, float]:
    """The paper's AP of the same detector on COCO, by method; empty where it has none."""
    found = (rows for name, rows in paper.coco().items() if table.pair.startswith(f'{name}-'))
    return {method: row['AP'] for method, row in next(found, {}).items()}


def detector_table(table: PairTable) -> str:
    """One pair, a row for each method."""
    theirs = paper_figures(table)

    def gain(method: str, row: Row) -> str | None:
        found = table.gain(method, AP)
        return None if found is None else f'{100 * found:+.1f}'

    def their_gain(method: str, row: Row) -> str | None:
        known = method in theirs and method not in (TEACHER, BASELINE)
        return f'{theirs[method] - theirs[BASELINE]:+.2f}' if known else None

    def cell(metric: str, method: str, row: Row) -> str:
        return format(points(row, metric), '.1f')

    columns: dict[str, Callable[[str, Row], str | None]] = {
        **{name: partial(cell, metric) for name, metric in METRICS.items()},
        'gain in AP': gain,
        'paper: AP': lambda method, row: number(theirs.get(method), '.2f'),
        'paper: gain': their_gain,
        'time / KD': lambda method, row: number(table.relative_time(method), '.2f'),
        'seeds': lambda method, row: str(len(row.seeds)),
    }
    return method_table(table, columns)


def differences(table: PairTable) -> list[str]:
    """Sentences on every distiller against the student alone and against KD, in AP and AP50."""
    students = [method for method in table.rows if method != TEACHER]
    pairs = [
        (method, reference)
        for reference in (BASELINE, 'kd')
        for method in students
        if reference in students and method not in (BASELINE, reference)
    ]
    return [
        difference(f'{name}: {a}', points(table.rows[a], metric), b, points(table.rows[b], metric))
        for name, metric in METRICS.items()
        for a, b in pairs
    ]
