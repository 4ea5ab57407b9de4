"""The plot of a table: accuracies of all methods as dots, one panel for each pair."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.markdown import arrow
from analysis.plots.colors import COLORS
from analysis.plots.limits import spreads, window
from analysis.summary import Stat
from analysis.tables import BASELINE, TEACHER, PairTable
from shake_mm.reports import write_figure

COLUMNS = 3
WIDTH = 62
LINES = {TEACHER: ('0.25', '--'), BASELINE: ('0.45', ':')}


def draw_tables(tables: Sequence[PairTable], path: str | Path, title: str = '') -> None:
    """Draw mean and standard deviation of every method; teacher and baseline are lines.

    What lies far from most is told by its value at the end of the axis, and no bar leaves 0 to 100 %.

    The paper's figures are drawn only where they are of the same pair and data set: elsewhere their scale is another.

    Args:
        tables (sequence of PairTable): From :func:`analysis.tables.arrange`.
        path (str | Path): The image to write.
        title (str): Title of the image.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot as plt

    methods = list(dict.fromkeys(name for table in tables for name in table.rows if name not in LINES))
    columns = min(COLUMNS, len(tables))
    rows = -(-len(tables) // columns)
    size = (2.2 + 4.4 * columns, 1 + rows * (1.1 + 0.26 * len(methods)))
    figure, axes = plt.subplots(rows, columns, figsize=size, sharey=True, squeeze=False, layout='constrained', dpi=150)
    for panel, table in zip(axes.flat, tables, strict=False):
        _draw(panel, table, methods)
    for panel in axes.flat[len(tables) :]:
        panel.set_axis_off()
    # The first method on top.
    axes[0, 0].set_yticks(range(len(methods)), methods)
    axes[0, 0].set_ylim(len(methods) - 0.5, -0.5)
    entries = {label: handle for panel in axes.flat for handle, label in zip(*panel.get_legend_handles_labels())}
    # With twenty methods no panel has a free corner.
    figure.legend(entries.values(), entries, frameon=False, ncols=2 * columns, loc='outside lower center')
    figure.suptitle('\n'.join(textwrap.fill(line, WIDTH * columns) for line in title.splitlines()), fontsize='medium')
    write_figure(path, figure)
    plt.close(figure)


def _draw(axes: Any, table: PairTable, methods: Sequence[str]) -> None:
    lines = {name: table.rows[name].accuracy for name in LINES if name in table.rows}
    for name, stat in lines.items():
        color, style = LINES[name]
        axes.axvline(stat.mean, color=color, linestyle=style, linewidth=1.2, label=name)
        if stat.n > 1:
            axes.axvspan(stat.mean - stat.std, stat.mean + stat.std, color=color, alpha=0.12, linewidth=0)
    found = [name for name in methods if name in table.rows]
    places = [methods.index(name) for name in found]
    stats = [table.rows[name].accuracy for name in found]
    beside = {methods.index(name): table.paper[name] for name in found if name in table.paper}
    theirs = beside if table.beside == table.pair else {}
    low, high = window(stats, [*(stat.mean for stat in lines.values()), *theirs.values()])
    axes.set_xlim(low, high)
    _tell_those_off(axes, dict(zip(places, stats, strict=True)), low, high)
    inside = [i for i, stat in enumerate(stats) if low <= stat.mean <= high]
    stats, places = [stats[i] for i in inside], [places[i] for i in inside]
    axes.errorbar(
        [stat.mean for stat in stats],
        places,
        xerr=spreads(stats),
        color=COLORS[0],
        linestyle='',
        marker='o',
        markersize=6,
        elinewidth=1.6,
        capsize=3,
        label='ours, mean ± std',
    )
    if theirs:
        axes.plot(
            list(theirs.values()),
            list(theirs),
            color=COLORS[5],
            linestyle='',
            marker='D',
            markersize=6,
            fillstyle='none',
            markeredgewidth=1.4,
            label='paper',
        )
    known = ', '.join(f'{name} {stat.mean:.2f}' for name, stat in lines.items())
    axes.set_title(f'{arrow(table.pair)}\n{known}', fontsize='medium')
    axes.set_xlabel('top-1 accuracy of the student (%)')
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)


def _tell_those_off(axes: Any, stats: Mapping[int, Stat], low: float, high: float) -> None:
    """Write the values that the axis leaves out beside an arrow at its end."""
    for place, stat in stats.items():
        if not low <= stat.mean <= high:
            left = stat.mean < low
            arrow = f'◂ {stat:.1f}' if left else f'{stat:.1f} ▸'
            axes.annotate(
                arrow,
                (0.01 if left else 0.99, place),
                xycoords=('axes fraction', 'data'),
                color=COLORS[0],
                fontsize='small',
                ha='left' if left else 'right',
                va='center',
            )
