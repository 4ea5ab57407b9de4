"""The plot of a comparison: accuracy over epochs, and the gap to the teacher."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from analysis.plots.colors import COLORS, MARKERS
from analysis.plots.limits import spreads
from analysis.summary import Stat
from shake_mm.grid.scalars import Scalars
from shake_mm.reports import write_figure
from shake_mm.run_report.figures import name_ends

LATER = 0.5
"""From which share of the epochs on all values are on the axis."""


def draw_comparison(
    runs: Mapping[str, Sequence[Scalars]], path: str | Path, teacher: float | None = None, title: str = ''
) -> None:
    """Draw the methods' accuracies over the epochs (mean, band of one standard deviation) and their last gaps.

    The axis is that of the second half of the training: methods end close together, and begin far below.

    Args:
        runs (dict): What the seeds of each method logged, by the method's name.
        path (str | Path): The image to write.
        teacher (float, optional): The teacher's accuracy, drawn as a line.
        title (str): Title of the image.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10.5, 4.2), width_ratios=(1.9, 1), layout='constrained', dpi=150
    )
    ends = {} if teacher is None else {f'teacher {teacher:.2f}': (teacher, '0.35')}
    later: list[float] = [] if teacher is None else [teacher]
    for (name, seeds), color, marker in zip(runs.items(), COLORS, MARKERS, strict=False):
        epochs = seeds[0].column('accuracy/top1')[0]
        stats = [Stat.of(values) for values in zip(*(run.column('accuracy/top1')[1] for run in seeds), strict=True)]
        means = np.array([stat.mean for stat in stats])
        left.plot(epochs, means, color=color, marker=marker, markersize=5)
        below, above = spreads(stats)
        if len(seeds) > 1:
            left.fill_between(epochs, means - below, means + above, color=color, alpha=0.2, linewidth=0)
        ends[f'{name} {stats[-1]:.2f}'] = (stats[-1].mean, color)
        shown = np.array(epochs) >= epochs[-1] * LATER
        later += [*(means - below)[shown], *(means + above)[shown]]
    if teacher is not None:
        left.axhline(teacher, color='0.35', linestyle='--', linewidth=1)
    room = 0.05 * (max(later) - min(later)) or 1.0
    left.set_ylim(min(later) - room, max(later) + room)
    name_ends(left, ends)
    left.set(
        xlabel='epoch',
        ylabel='top-1 accuracy of the student (%)',
        title='Accuracy on the validation set\n(mean and standard deviation of the seeds)',
    )
    left.grid(alpha=0.3)
    _draw_gaps(right, runs)
    figure.suptitle(title)
    write_figure(path, figure)
    plt.close(figure)


def _draw_gaps(axes, runs: Mapping[str, Sequence[Scalars]]) -> None:
    for i, (seeds, color) in enumerate(zip(runs.values(), COLORS, strict=False)):
        gaps = [run.last()['gap/teacher'] for run in seeds]
        axes.bar(i, statistics.fmean(gaps), color=color, alpha=0.75, width=0.6)
        axes.plot([i] * len(gaps), gaps, linestyle='', marker='o', markersize=4, color='black', alpha=0.7)
        axes.annotate(
            f'{statistics.fmean(gaps):.2f}', (i, max(gaps)), xytext=(0, 5), textcoords='offset points', ha='center'
        )
    axes.set_xticks(range(len(runs)), list(runs))
    axes.margins(y=0.12)
    axes.set(
        ylabel='KL(teacher ‖ student), nats', title='Gap to the teacher, last epoch\n(dots: seeds; lower is closer)'
    )
    axes.grid(alpha=0.3, axis='y')
    axes.set_axisbelow(True)
