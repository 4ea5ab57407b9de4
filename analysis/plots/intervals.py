"""The plot of what methods add to a student alone: a panel a pair, a line a method, its seeds and its interval."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from analysis.evidence.pages import interval
from analysis.evidence.reports import LEAST, Report
from analysis.evidence.rows import PLAIN
from analysis.plots.colors import COLORS
from shake_mm.reports import write_figure

BESIDE = 2
"""Panels in a row."""
HEIGHTS = (0.75, 0.24)
"""Inches of a panel, and of each of its lines."""


def draw_intervals(found: Sequence[Report], path: str | Path) -> None:
    """Draw the difference of each method to the student alone: seeds, mean and, of three or more, its interval.

    Args:
        found (sequence of Report): Panels, of any number.
        path (str | Path): The image to write.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot as plt

    found = sorted(found, key=lambda report: -len(report.rows))  # beside each other stand panels of about one height
    rows = [found[start : start + BESIDE] for start in range(0, len(found), BESIDE)]
    heights = [HEIGHTS[0] + HEIGHTS[1] * max(len(report.rows) - 1 for report in row) for row in rows]
    size = (10, 0.6 + sum(heights))
    figure, axes = plt.subplots(
        len(rows), BESIDE, figsize=size, height_ratios=heights, squeeze=False, layout='constrained', dpi=150
    )
    for panel in axes.flat[len(found) :]:
        panel.remove()
    for panel, report in zip(axes.flat, found):
        _draw(panel, report)
    entries = {label: handle for panel in axes.flat for handle, label in zip(*panel.get_legend_handles_labels())}
    figure.legend(entries.values(), entries, frameon=False, ncols=len(entries), loc='outside lower center')
    write_figure(path, figure)
    plt.close(figure)


def _draw(axes: Any, report: Report) -> None:
    differences = {name: report.differences(name) for name in report.rows if name != PLAIN}
    names = sorted((name for name, values in differences.items() if values), key=lambda name: -fmean(differences[name]))
    for place, name in enumerate(names):
        mean, half = interval(differences[name])
        told = len(differences[name]) >= LEAST  # that of two seeds is thirteen standard errors wide on either side
        color = COLORS[{'KD': 0, 'SHAKE': 5}.get(name, 2)]
        axes.plot(differences[name], [place] * len(differences[name]), '|', color=color, markersize=9, alpha=0.6)
        if told:
            axes.plot([mean - half, mean + half], [place, place], color=color, linewidth=2.2)
        axes.plot([mean], [place], 'o', color=color, markersize=6, fillstyle='full' if told else 'none')
    axes.plot([], [], 'o-', color='0.4', linewidth=2.2, label='mean and 95 % interval')
    axes.plot([], [], 'o', color='0.4', fillstyle='none', label='mean of one or two seeds')
    axes.plot([], [], '|', color='0.4', markersize=9, linestyle='', label='a seed')
    axes.axvline(0, color='0.35', linewidth=1)
    axes.set_yticks(range(len(names)), names, fontsize='small')
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_title(f'{report.student}, {report.study.told}', fontsize='medium')
    axes.set_xlabel('points over the student alone', fontsize='small')
    axes.grid(axis='x', alpha=0.3)
    axes.set_axisbelow(True)
