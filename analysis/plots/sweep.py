"""The plot of a sweep: accuracy over the temperature, and over the balance."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from analysis.plots.colors import COLORS
from analysis.plots.limits import spreads
from analysis.sensitivity import SYMBOLS, Point
from analysis.summary import Stat
from shake_mm.reports import write_figure


def draw_sweep(
    swept: Mapping[str, Sequence[Point]],
    values: Mapping[Point, Sequence[float]],
    default: Point,
    path: str | Path,
    title: str = '',
) -> None:
    """Draw the two lines, mean and standard deviation, with every seed as a dot where there are several.

    Args:
        swept (dict): From :func:`lines`.
        values (dict): From :func:`accuracies`.
        default (Point): Drawn as a vertical line.
        path (str | Path): The image to write.
        title (str): Title of the image.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, len(swept), figsize=(9.6, 4), sharey=True, layout='constrained', dpi=150)
    for panel, (name, points) in zip(panels, swept.items(), strict=True):
        _draw(panel, name, points, values, default)
    panels[0].set_ylabel('top-1 accuracy of the student (%)')
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, ncols=len(labels), loc='outside lower center')
    figure.suptitle(title, fontsize='medium')
    write_figure(path, figure)
    plt.close(figure)


def _draw(axes, name: str, points: Sequence[Point], values: Mapping, default: Point) -> None:
    other = 'lam' if name == 'tau' else 'tau'
    places = [getattr(point, name) for point in points]
    stats = [Stat.of(values[point]) for point in points]
    several = max(stat.n for stat in stats) > 1
    axes.axvline(getattr(default, name), color='0.45', linestyle=':', linewidth=1.2, label='default')
    axes.errorbar(
        places,
        [stat.mean for stat in stats],
        yerr=spreads(stats) if several else None,
        color=COLORS[0],
        marker='o',
        markersize=6,
        capsize=3,
        label='mean ± std' if several else 'one seed',
    )
    if several:  # a single one is the mean
        dots = [(place, value) for place, point in zip(places, points, strict=True) for value in values[point]]
        looks = dict(color='black', linestyle='', marker='o', markersize=3, alpha=0.5)
        axes.plot(*zip(*dots, strict=True), label='seed', zorder=3, **looks)
    axes.set_xticks(places, [f'{place:g}' for place in places])
    axes.set(xlabel=SYMBOLS[name], title=f'{SYMBOLS[name]} varies, {SYMBOLS[other]} = {getattr(default, other):g}')
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
