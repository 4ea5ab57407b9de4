"""The plot of a benchmark: the time of each step, as bars."""

from pathlib import Path
from typing import Any

from analysis.plots.colors import COLORS
from benchmarks.step_time import Timing
from benchmarks.steps import ROWS
from shake_mm.reports import write_figure

LIVE, CACHED = COLORS[0], COLORS[1]


def draw_times(timing: Timing, path: str | Path) -> None:
    """Draw each row's median time with its range, and its ratio to the first row's.

    Args:
        timing (Timing): What was measured.
        path (str | Path): The image to write.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot as plt
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    names = [ROWS.get(name, name) for name in timing.seconds]
    medians = [1000 * spread.median for spread in timing.seconds.values()]
    errors = [
        [1000 * (spread.median - spread.low) for spread in timing.seconds.values()],
        [1000 * (spread.high - spread.median) for spread in timing.seconds.values()],
    ]
    cached = [name.endswith(('_cached', '_cold')) for name in timing.seconds]
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.36 * len(names)), layout='constrained', dpi=150)
    colors = [CACHED if own else LIVE for own in cached]
    axes.barh(names, medians, xerr=errors, color=colors, alpha=0.85, error_kw=dict(ecolor='0.25', capsize=2))
    for place, (median, above) in enumerate(zip(medians, errors[1])):
        axes.annotate(
            f'{median:,.{0 if median >= 100 else 1}f} ms   {median / medians[0]:.2f}×',
            (median + above, place),
            xytext=(4, 0),
            textcoords='offset points',
            va='center',
            fontsize='small',
        )
    axes.invert_yaxis()
    axes.set_xlabel('time of a step (ms); × of the first row')
    axes.set_xlim(0, 1.25 * max(median + above for median, above in zip(medians, errors[1])))
    axes.grid(axis='x', alpha=0.3)
    axes.set_axisbelow(True)
    setting = timing.setting
    axes.set_title(
        f'batch {setting["batch_size"]}, {setting["hardware"]}, torch {setting["torch"]}, {setting["clock"]} clock',
        fontsize='medium',
    )
    entries = {LIVE: 'all computed in every step', CACHED: 'teacher looked up'} if any(cached) else {LIVE: 'median'}
    handles: list[Any] = [Patch(color=color, label=name) for color, name in entries.items()]
    handles.append(Line2D([], [], color='0.25', marker='|', label='fastest to slowest round'))
    figure.legend(handles=handles, frameon=False, ncols=len(handles), loc='outside lower center')
    write_figure(path, figure)
    plt.close(figure)
