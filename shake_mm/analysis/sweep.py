r"""The sweep of SHAKE's temperature :math:`\tau` and balance :math:`\lambda` (the paper's Figure 4).

Every point is a config of its own, that inherits the swept one and changes the two numbers, named so that the runs are
found like all others: ``METHOD-tau2-lam1_TEACHER_STUDENT_DATA.py``.
"""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import UsageError
from ..registry import MODELS
from .collect import ACCURACY, Record
from .curves import COLOURS
from .markdown import markdown_table
from .summary import Stat


class Point(NamedTuple):
    r"""One setting.

    Args:
        tau (float): :math:`\tau`.
        lam (float): :math:`\lambda`.
    """

    tau: float
    lam: float


SYMBOLS = {'tau': 'τ', 'lam': 'λ'}


def default_point(model: Mapping[str, Any]) -> Point:
    """The values that a config has, or leaves to its distiller's defaults.

    Args:
        model (dict): The config's model.

    Raises:
        UsageError: If its distiller has no such argument.
    """
    known = inspect.signature(MODELS.get(model['type'])).parameters
    for name in Point._fields:
        if name not in known:
            raise UsageError(f'model: a {model["type"]} has no `{name}` to sweep: give a config of KD, DML or SHAKE.')
    return Point(*(float(model.get(name, known[name].default)) for name in Point._fields))


def lines(default: Point, taus: Sequence[float], lams: Sequence[float]) -> dict[str, list[Point]]:
    """The points of the two lines, by the name of what varies; the other value is the default one."""
    swept = {'tau': taus, 'lam': lams}
    return {name: [default._replace(**{name: value}) for value in sorted(set(swept[name]))] for name in swept}


def write_configs(config: Path, points: Sequence[Point], folder: Path) -> dict[Point, str]:
    """Write a config for every point, in place of those of an earlier sweep.

    Args:
        config (Path): The swept config, ``METHOD_TEACHER_STUDENT_DATA.py``.
        points (sequence of Point): The settings.
        folder (Path): Where to write.

    Returns:
        dict[Point, str]: The method by which the runs of each point are collected.
    """
    method, _, rest = config.stem.partition('_')
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob('*.py'):
        path.unlink()
    methods = {}
    for point in points:
        methods[point] = f'{method}-tau{point.tau:g}-lam{point.lam:g}'
        text = f'_base_ = {str(config.resolve())!r}\nmodel = dict(tau={point.tau}, lam={point.lam})\n'
        (folder / f'{methods[point]}_{rest}.py').write_text(text, encoding='utf-8')
    return methods


def accuracies(records: Sequence[Record], methods: Mapping[Point, str]) -> dict[Point, list[float]]:
    """Accuracy of every seed, by point.

    Raises:
        UsageError: If a point has no finished run.
    """
    found = {
        point: [run.metrics[ACCURACY] for run in records if run.method == method] for point, method in methods.items()
    }
    for point, values in found.items():
        if not values:
            raise UsageError(f'there is no finished run of τ={point.tau:g}, λ={point.lam:g}.')
    return found


def table(points: Sequence[Point], name: str, values: Mapping[Point, Sequence[float]]) -> str:
    """One line of the sweep in Markdown: mean and spread of every point.

    Args:
        points (sequence of Point): From :func:`lines`.
        name (str): What varies, ``'tau'`` or ``'lam'``.
        values (dict): From :func:`accuracies`.
    """
    stats = [Stat.of(values[point]) for point in points]
    rows = [[f'{getattr(p, name):g}', f'{stat:.2f}', str(stat.n)] for p, stat in zip(points, stats, strict=True)]
    return markdown_table([SYMBOLS[name], 'top-1 %', 'seeds'], rows)


def summary(points: Sequence[Point], name: str, values: Mapping[Point, Sequence[float]]) -> str:
    """One sentence on a line: its best value, and how far apart its means lie beside the spread of the seeds."""
    stats = {getattr(point, name): Stat.of(values[point]) for point in points}
    best = max(stats, key=lambda value: stats[value].mean)
    width = stats[best].mean - min(stat.mean for stat in stats.values())
    several = [stat.std for stat in stats.values() if stat.n > 1]
    spread = f'; the largest standard deviation over seeds is {max(several):.2f}' if several else ''
    return f'Best at {SYMBOLS[name]} = {best:g}; the means lie within {width:.2f} points{spread}.'


def draw_sweep(
    swept: Mapping[str, Sequence[Point]],
    values: Mapping[Point, Sequence[float]],
    default: Point,
    path: str | Path,
    title: str = '',
) -> None:
    """Draw the two lines, mean and standard deviation, with every seed as a dot.

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
    figure.savefig(path)
    plt.close(figure)


def _draw(axes, name: str, points: Sequence[Point], values: Mapping, default: Point) -> None:
    other = 'lam' if name == 'tau' else 'tau'
    places = [getattr(point, name) for point in points]
    stats = [Stat.of(values[point]) for point in points]
    axes.axvline(getattr(default, name), color='0.45', linestyle=':', linewidth=1.2, label='default')
    axes.errorbar(
        places,
        [stat.mean for stat in stats],
        yerr=[stat.std if stat.n > 1 else 0.0 for stat in stats],
        color=COLOURS[0],
        marker='o',
        markersize=6,
        capsize=3,
        label='mean ± std',
    )
    dots = [(place, value) for place, point in zip(places, points, strict=True) for value in values[point]]
    axes.plot(*zip(*dots, strict=True), color='black', linestyle='', marker='o', markersize=3, alpha=0.5, label='seed')
    axes.set_xticks(places, [f'{place:g}' for place in places])
    axes.set(xlabel=SYMBOLS[name], title=f'{SYMBOLS[name]} varies, {SYMBOLS[other]} = {getattr(default, other):g}')
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
