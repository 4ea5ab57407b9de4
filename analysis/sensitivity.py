r"""The sweep of SHAKE's temperature :math:`\tau` and balance :math:`\lambda` (the paper's Figure 4).

Every point is a config of its own, that inherits the swept one and changes the two numbers, named so that the runs are
found like all others: ``METHOD-tau2-lam1_TEACHER_STUDENT_DATA.py``.
"""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from analysis.collect import ACCURACY, Record
from analysis.markdown import markdown_table
from analysis.summary import Stat
from shake_mm.errors import UsageError
from shake_mm.outputs import HEADER, claim, is_ours, write_text
from shake_mm.registry import MODELS
from shake_mm.tasks import Task


class Point(NamedTuple):
    r"""One point of the sweep.

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
    values = {name: model.get(name, known[name].default) for name in Point._fields}
    if values['tau'] is None:  # left to the task: what is swept are classifiers
        values['tau'] = Task.logits_defaults['tau']
    return Point(*map(float, values.values()))


def lines(default: Point, taus: Sequence[float], lams: Sequence[float]) -> dict[str, list[Point]]:
    """The points of the two lines, by the name of what varies; the other value is the default one."""
    swept = {'tau': taus, 'lam': lams}
    return {name: [default._replace(**{name: value}) for value in sorted(set(swept[name]))] for name in swept}


def write_configs(config: Path, points: Sequence[Point], folder: Path) -> dict[Point, Path]:
    """Write a config for every point, in place of those of an earlier sweep; other files stay.

    Args:
        config (Path): The swept config, ``METHOD_TEACHER_STUDENT_DATA.py``.
        points (sequence of Point): The settings.
        folder (Path): Where to write.

    Returns:
        dict[Point, Path]: The config of each point, by whose name its runs are collected.

    Raises:
        UsageError: If another file has the name of one.
    """
    method, _, rest = config.stem.partition('_')
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob('*-tau*-lam*.py'):
        if not path.is_symlink() and is_ours(path):
            path.unlink()
    written = {}
    for point in points:
        text = f'_base_ = {str(config.resolve())!r}\nmodel = dict(tau={point.tau}, lam={point.lam})\n'
        written[point] = folder / f'{method}-tau{point.tau:g}-lam{point.lam:g}_{rest}.py'
        claim(written[point], '--work-dir')
        write_text(written[point], HEADER + text)
    return written


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
