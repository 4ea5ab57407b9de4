"""Write tables of methods and pairs as Markdown."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from analysis.collect import Collection
from analysis.tables import TEACHER, PairTable, Row
from shake_mm.errors import UsageError

EMPTY = '–'


def report(
    tables: Sequence[PairTable],
    collection: Collection,
    title: str,
    best: bool = False,
    intro: Sequence[str] = (),
    how: Sequence[str] = (),
) -> str:
    """The whole page on classifiers: an overview of several pairs, a table for each, and what to know about them.

    Args:
        tables (sequence of PairTable): From :func:`arrange`.
        collection (Collection): Where they come from.
        title (str): Title of the page.
        best (bool): Whether the best validations were taken. Defaults to False.
        intro (sequence of str): Paragraphs to put below the caption.
        how (sequence of str): Sentences on command, time and machine.
    """
    parts = [f'# {title}', caption(collection, best, 'Top-1 accuracy in %'), *intro]
    if len(tables) > 1:
        parts += [
            '## Overview',
            overview(tables),
            "Means; in brackets the paper's figures." if any(table.beside for table in tables) else '',
        ]
    for table in tables:
        parts += [f'## {arrow(table.pair)}', pair_table(table), table.rank_correlation() or '']
    return page([*parts, *footer(tables, collection, how)])


def page(parts: Sequence[str]) -> str:
    """Join paragraphs, leaving out empty ones."""
    return '\n\n'.join(part for part in parts if part) + '\n'


def read_notes(path: str | None) -> list[str]:
    """The paragraphs of the notes, none without a file."""
    try:
        return [] if path is None else [Path(path).read_text(encoding='utf-8').strip()]
    except UnicodeDecodeError:
        raise UsageError(f'--notes: {path} is no text in UTF-8: save it as such.') from None


def footer(tables: Sequence[PairTable], collection: Collection, how: Sequence[str]) -> list[str]:
    """Notes on the provenance of the runs, on relative times, and on runs that were left out."""
    notes = list(how)
    if any(table.relative_time(method) for table in tables for method in table.rows):
        notes.append(
            'time / KD: median of the logged times of an iteration, with loading of data, over that of KD. Runs side '
            'by side disturb each other, so read it as a rough figure.'
        )
    left_out = ['Left out:', '', *(f'- {line}' for line in collection.left_out)] if collection.left_out else []
    return ['\n'.join(f'- {line}' for line in notes), '\n'.join(left_out)]


def caption(collection: Collection, best: bool, what: str) -> str:
    """One sentence on what the figures mean: data set, epochs and seeds."""
    data = collection.records[0].data
    epochs = sorted({run.epochs for run in collection.records if run.method})
    lengths = f'{" or ".join(map(str, epochs))} epoch{"" if epochs == [1] else "s"}'
    which = 'best epoch of each run (chosen on the validation set, so too high)' if best else 'last epoch'
    seeds = sorted({run.seed for run in collection.records if run.method and run.seed is not None})
    return (
        f'{what} on {data}, {which}, {lengths}; '
        f'mean ± sample standard deviation over the seeds ({", ".join(map(str, seeds)) or "not fixed"}).'
    )


def overview(tables: Sequence[PairTable]) -> str:
    """Methods × pairs: means of the accuracy, the paper's figure in brackets."""
    methods = list(dict.fromkeys(method for table in tables for method in table.rows))

    def cell(table: PairTable, method: str) -> str:
        ours = f'{table.rows[method].accuracy.mean:.2f}' if method in table.rows else EMPTY
        return f'{ours} ({table.paper[method]:.2f})' if method in table.paper else ours

    header = ['method', *(arrow(table.pair) for table in tables)]
    return markdown_table(header, [[method, *(cell(table, method) for table in tables)] for method in methods])


def pair_table(table: PairTable) -> str:
    """The detailed table of one pair, as Markdown."""

    def stat(key: str, spec: str) -> Callable[[str, Row], str | None]:
        return lambda method, row: format(row.stats[key], spec) if key in row.stats and method != TEACHER else None

    paper = 'paper %' if table.beside in (None, table.pair) else f'paper ({arrow(table.beside)}) %'
    columns = {
        'top-1 %': lambda method, row: format(row.accuracy, '.2f'),
        paper: lambda method, row: number(table.paper.get(method), '.2f'),
        'gain': lambda method, row: number(table.gain(method), '+.2f'),
        'gap/teacher': stat('gap/teacher', '.3f'),
        'proxy %': stat('proxy/top1', '.2f'),
        'time / KD': lambda method, row: number(table.relative_time(method), '.2f'),
        'seeds': lambda method, row: None if method == TEACHER else str(row.accuracy.n),
    }
    return method_table(table, columns)


def number(value: float | None, spec: str) -> str | None:
    """The formatted value, if there is one."""
    return None if value is None else format(value, spec)


def method_table(table: PairTable, columns: Mapping[str, Callable[[str, Row], str | None]]) -> str:
    """A row for each method; columns without a figure are left out.

    Args:
        table (PairTable): The methods.
        columns (dict[str, callable]): By title, called as ``cell(method, row)`` for the cell's text.
    """
    cells = {title: [cell(method, row) for method, row in table.rows.items()] for title, cell in columns.items()}
    cells = {title: column for title, column in cells.items() if any(column)}
    rows = [[value or EMPTY for value in row] for row in zip(*cells.values(), strict=True)]
    return markdown_table(['method', *cells], [[method, *row] for method, row in zip(table.rows, rows, strict=True)])


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, padded so that it reads as well in a terminal; the first column is aligned to the left."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return f'| {" | ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)])} |'

    rule = f'|{"|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])])}|'
    return '\n'.join([line(header), rule, *map(line, rows)])


def arrow(pair: str) -> str:
    """``'resnet110_resnet20'`` as ``'resnet110 → resnet20'``."""
    return pair.replace('_', ' → ')
