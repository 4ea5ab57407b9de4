"""The plot of a study on detectors: AP and AP50 of every seed as a dot, one row of panels for each pair."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.detection import METRICS, points
from analysis.markdown import arrow
from analysis.plots.colors import COLORS
from analysis.tables import TEACHER, PairTable
from shake_mm.reports import write_figure

SPREAD = 0.12
"""Distance between the dots of two seeds, so that equal ones do not hide each other."""
WIDTH = 110


def draw_seeds(tables: Sequence[PairTable], path: str | Path, title: str = '') -> None:
    """Draw every seed, and the mean of each method of a pair as a bar; the teacher is a line.

    Args:
        tables (sequence of PairTable): From :func:`analysis.tables.arrange`.
        path (str | Path): The image to write.
        title (str): Title of the image.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot as plt

    every = list(dict.fromkeys(name for table in tables for name in table.rows if name != TEACHER))
    colors = {method: COLORS[place % len(COLORS)] for place, method in enumerate(every)}
    heights = [1.2 + 0.4 * len(table.rows.keys() - {TEACHER}) for table in tables]
    figure, axes = plt.subplots(
        len(tables),
        len(METRICS),
        figsize=(10, 1.2 + sum(heights)),
        height_ratios=heights,
        squeeze=False,
        layout='constrained',
        dpi=150,
    )
    for row, table in zip(axes, tables, strict=True):
        for panel, (name, metric) in zip(row, METRICS.items(), strict=True):
            _draw(panel, table, [method for method in every if method in table.rows], metric, colors)
            panel.set(title=f'{arrow(table.pair)}', xlabel=f'{name} (points)')
            panel.title.set_fontsize('medium')
    entries = {label: handle for panel in axes.flat for handle, label in zip(*panel.get_legend_handles_labels())}
    figure.legend(entries.values(), entries, frameon=False, ncols=len(entries), loc='outside lower center')
    figure.suptitle('\n'.join(textwrap.fill(line, WIDTH) for line in title.splitlines()), fontsize='medium')
    write_figure(path, figure)
    plt.close(figure)


def _draw(axes: Any, table: PairTable, methods: Sequence[str], metric: str, colors: Mapping[str, str]) -> None:
    if TEACHER in table.rows:
        mean = points(table.rows[TEACHER], metric).mean
        axes.axvline(mean, color='0.35', linestyle='--', linewidth=1.2, label='teacher')
    for place, method in enumerate(methods):
        row, color = table.rows[method], colors[method]
        middle = (len(row.seeds) - 1) / 2
        axes.plot(
            [100 * seed[metric] for seed in row.seeds],
            [place + SPREAD * (i - middle) for i in range(len(row.seeds))],
            color=color,
            linestyle='',
            marker='o',
            markersize=6,
            alpha=0.85,
        )
        axes.plot([points(row, metric).mean] * 2, [place - 0.3, place + 0.3], color=color, linewidth=2)
    axes.plot([], [], color='0.5', linestyle='', marker='o', label='one seed')
    axes.plot([], [], color='0.5', linewidth=2, label='mean of the seeds')
    # The first method on top.
    axes.set_yticks(range(len(methods)), methods)
    axes.set_ylim(len(methods) - 0.5, -0.5)
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    axes.margins(x=0.08)
