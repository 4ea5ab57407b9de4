"""The curves of a report, of what runs logged: their names beside them, and axes that serve most of the points."""

import math
import re
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from .figures import COLORS, DASHES, FONT, GAP, GRAY, HEIGHT, Figure, name_ends, sheet, tidy
from .runs import Run

ENDS = ('/top1', '/mAP', '/mIoU', '/bbox_mAP', '/segm_mAP', '/AP')
MEMBER = re.compile(r'(?<![^ ])(teacher|proxy)\d*/')
POINTS = 400
Curve = tuple[Sequence[float], Sequence[float]]


def curves_of(runs: Sequence[Run], baseline: float | None = None) -> list[Figure]:
    """The curves of all that the runs have logged.

    Args:
        runs (sequence of Run): One, or several to compare.
        baseline (float, optional): Accuracy of the student without teachers, drawn as a line.
    """
    lines = {} if baseline is None else {'baseline': baseline}
    wanted: tuple[tuple[str, str, dict[str, Curve], str, bool, dict[str, float]], ...] = (
        ('members', 'Members on the validation set', _members(runs), 'epoch', False, lines),
        ('terms', 'Terms of the loss', _train(runs, _is_term), 'step', True, {}),
        (
            'shares',
            'Share of each term in the gradient',
            _measured(_train(runs, lambda key: key.startswith('share/'))),
            'step',
            False,
            {},
        ),
        ('gaps', 'Gaps between members, KL in nats', _val(runs, lambda key: key.startswith('gap/')), 'epoch', True, {}),
        ('time', 'Seconds a step', _train(runs, lambda key: key in ('time', 'data_time')), 'step', False, {}),
        ('memory', 'Memory of the GPU in MB', _train(runs, lambda key: key == 'memory'), 'step', False, {}),
    )
    return [_figure(*args) for args in wanted if args[2]]


def _measured(curves: dict[str, Curve]) -> dict[str, Curve]:
    """Curves without the rows in which the log repeats what was measured before them."""
    fresh: dict[str, Curve] = {}
    for name, (steps, values) in curves.items():
        kept = [i for i, value in enumerate(values) if i == 0 or value != values[i - 1]]
        fresh[name] = ([steps[i] for i in kept], [values[i] for i in kept])
    return fresh


def _is_term(key: str) -> bool:
    return 'loss' in key and key != 'loss'


def _members(runs: Sequence[Run]) -> dict[str, Curve]:
    """Accuracies; the student's own metric is left out where it is the same as ``student/top1``.

    It is called the student's where the same is known of another member: ``student/mIoU`` beside ``teacher/mIoU``.
    """
    curves = _val(runs, lambda key: f'/{key}'.endswith(ENDS))
    doubled = {name: name.replace('accuracy/', 'student/') for name in curves if name.endswith('accuracy/top1')}
    same = {name for name, other in doubled.items() if other in curves and _same(curves[name], curves[other])}
    others = {MEMBER.sub('', name) for name in curves if MEMBER.search(name)}
    return {_of_student(name) if name in others else name: curve for name, curve in curves.items() if name not in same}


def _of_student(name: str) -> str:
    run, colon, key = name.rpartition(': ')
    return f'{run}{colon}student/{key}'


def _same(one: Curve, other: Curve) -> bool:
    """Whether two curves hold the same, but for the sums of floats."""
    return list(one[0]) == list(other[0]) and all(math.isclose(a, b, abs_tol=1e-3) for a, b in zip(one[1], other[1]))


def _val(runs: Sequence[Run], wanted: Any) -> dict[str, Curve]:
    return _curves(runs, 'val', wanted)


def _train(runs: Sequence[Run], wanted: Any) -> dict[str, Curve]:
    return {name: _thinned(*curve) for name, curve in _curves(runs, 'train', wanted).items()}


def _curves(runs: Sequence[Run], part: str, wanted: Any) -> dict[str, Curve]:
    found: dict[str, Curve] = {}
    for run in runs:
        for key in dict.fromkeys(key for row in getattr(run.scalars, part) for key in row if wanted(key)):
            steps, values = run.scalars.column(key, part)
            pairs = [(x, y) for x, y in zip(steps, values) if isinstance(y, int | float) and math.isfinite(y)]
            if pairs:
                found[key if len(runs) == 1 else f'{run.name}: {key}'] = ([x for x, _ in pairs], [y for _, y in pairs])
    return found


def _thinned(steps: Sequence[float], values: Sequence[float]) -> Curve:
    """At most :data:`POINTS` points, each the median of its neighbors."""
    width = -(-len(steps) // POINTS)
    parts = range(0, len(steps), width)
    return [steps[i] for i in parts], [median(values[i : i + width]) for i in parts]


def _figure(
    name: str, title: str, curves: Mapping[str, Curve], across: str, orders: bool, lines: Mapping[str, float]
) -> Figure:
    height = max(HEIGHT, 0.24 * (len(curves) + len(lines)))  # room for every name
    drawing, ((axes,),) = sheet(height=height)
    looks = _looks(list(curves))
    for label, (steps, values) in curves.items():
        marker = 'o' if len(steps) < 30 else ''
        axes.plot(steps, values, color=looks[label][0], linestyle=looks[label][1], marker=marker, markersize=3)
    for value in lines.values():
        axes.axhline(value, color=GRAY, linewidth=1, linestyle=(0, (1, 2)))
    positive = all(value > 0 for _, values in curves.values() for value in values)
    if orders and positive and _range(curves) > 20:
        axes.set_yscale('log')
    else:
        _leave_out_outliers(axes, curves, lines)
    ends = {f'{label} {values[-1]:.4g}': (values[-1], looks[label][0]) for label, (_, values) in curves.items()}
    name_ends(
        axes,
        {**ends, **{f'{label} {value:.4g}': (value, GRAY) for label, value in lines.items()}},
        GAP * HEIGHT / height,
    )
    dashes = {label.rpartition(': ')[0]: dash for label, (_, dash) in looks.items()}
    if len(dashes) > 1:
        handles = [Line2D([], [], color='#444444', linestyle=dash, label=run) for run, dash in dashes.items()]
        axes.legend(handles=handles, frameon=False, fontsize=FONT)
    axes.set_xlabel(across)
    places = {step for own, _ in curves.values() for step in own}
    if len(places) == 1:  # or the axis is of hundredths of an epoch
        axes.set_xlim(min(places) - 1, max(places) + 1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    tidy(axes)
    best = min if orders or name in ('time', 'memory') else max
    table = [(label, values[0], best(values), values[-1]) for label, (_, values) in curves.items()]
    told = '; '.join(f'{label} goes from {first:.4g} to {last:.4g}' for label, first, _, last in table)
    rows = [(label, *(f'{value:.4g}' for value in values)) for label, *values in table]
    return Figure(name, title, f'{title}, by {across}: {told}.', drawing, ('curve', 'first', 'best', 'last'), rows)


def _looks(labels: Sequence[str]) -> dict[str, tuple[str, Any]]:
    """Color and dashes of every curve: of several runs, the color tells the curve and the dashes tell the run."""
    runs = list(dict.fromkeys(label.rpartition(': ')[0] for label in labels))
    keys = list(dict.fromkeys(label.rpartition(': ')[2] for label in labels))
    looks = {}
    for label in labels:
        run, _, key = label.rpartition(': ')
        color = keys.index(key)
        dash = color + color // len(COLORS) if len(runs) == 1 else runs.index(run)
        looks[label] = COLORS[color % len(COLORS)], DASHES[dash % len(DASHES)]
    return looks


def _range(curves: Mapping[str, Curve]) -> float:
    values = [value for _, own in curves.values() for value in own]
    return max(values) / max(min(values), 1e-12)


def _leave_out_outliers(axes: Any, curves: Mapping[str, Curve], lines: Mapping[str, float]) -> None:
    """Let the axis show what most points need: a first value far off flattens all others."""
    values = sorted([value for _, own in curves.values() for value in own] + list(lines.values()))
    cut = max(1, len(values) // 50) if len(values) >= 10 else 0
    low, high = values[cut], values[-1 - cut]
    if values[-1] - values[0] < 3 * (high - low):
        low, high = values[0], values[-1]
    room = 0.08 * (high - low) or 0.1 * abs(high)
    axes.set_ylim(*(low - room, high + room) if room else (-0.05, 1))  # nothing is right yet
