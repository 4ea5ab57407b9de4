"""Axes that serve most points, and spreads that stay between 0 and 100 %."""

import math

import matplotlib
import pytest
from matplotlib import pyplot as plt

from analysis.collect import Record
from analysis.plots.curves import draw_comparison
from analysis.plots.limits import spreads, window
from analysis.plots.seeds import draw_seeds
from analysis.plots.sweep import draw_sweep
from analysis.plots.tables import draw_tables
from analysis.sensitivity import Point
from analysis.summary import Stat
from analysis.tables import arrange
from benchmarks.plot import draw_times
from benchmarks.step_time import Spread as Range
from benchmarks.step_time import Timing
from shake_mm.grid import Scalars


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Draw by a function that takes a path, and give the figure before it is closed."""
    matplotlib.use('Agg')
    kept = []
    monkeypatch.setattr(plt, 'close', kept.append)

    def draw(function):
        function(tmp_path / 'a.png')
        assert (tmp_path / 'a.png').read_bytes().startswith(b'\x89PNG')
        return kept[-1]

    yield draw
    monkeypatch.undo()
    plt.close('all')


def stats(*means, std=1.0, n=3):
    return [Stat(mean, std, n) for mean in means]


def test_no_spread_leaves_the_percents():
    assert spreads([Stat(70.0, 30.5, 3), Stat(1.0, 2.0, 3), Stat(50.0, math.nan, 1)]).tolist() == [
        [30.5, 1.0, 0.0],
        [30.0, 2.0, 0.0],
    ]


def test_the_window_leaves_out_what_is_far_off():
    low, high = window(stats(92, 93, 94, 95, 25, 93.5), [96.0])
    assert 89 < low < 91.1 and 96 < high < 97
    assert window(stats(50, 60, 70, 80))[0] < 49  # nothing is far off
    assert window(stats(50.0, std=math.nan, n=1)) == (49.0, 51.0)


def record(method, seed, pair='a_b', **metrics):
    return Record(method, pair, 'digits', seed, 12, '', '', metrics, None)


def test_values_off_the_axis_are_told(drawn):
    accuracies = {'baseline': 92, 'at': 25, 'sp': 93, 'cc': 94, 'kd': 95, 'shake': 94.5}
    runs = [record(m, s, **{'accuracy/top1': a + s}) for m, a in accuracies.items() for s in (0, 1)]
    axes = drawn(lambda path: draw_tables(arrange(runs), path)).axes[0]
    low, high = axes.get_xlim()
    assert 89 < low < 92.5 and high < 100
    (text,) = axes.texts
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert text.get_text() == '◂ 25.5 ± 0.7' and text.xy[1] == names.index('at')


def test_a_pair_has_rows_for_its_own_methods_alone(drawn):
    metrics = {'coco/bbox_mAP': 0.5, 'coco/bbox_mAP_50': 0.7}
    runs = [record(method, 0, **metrics) for method in ('baseline', 'kd', 'shake')]
    runs += [record(method, 0, 'c_d', **metrics) for method in ('baseline', 'kd')]
    figure = drawn(lambda path: draw_seeds(arrange(runs), path))
    names = [[label.get_text() for label in axes.get_yticklabels()] for axes in figure.axes]
    assert names == [['baseline', 'kd', 'shake']] * 2 + [['baseline', 'kd']] * 2
    colors = [{line.get_color() for line in axes.lines[::2]} for axes in figure.axes]
    assert colors[2] < colors[0]  # a method has one color in all panels


@pytest.mark.parametrize(('seeds', 'labels'), [(1, ['default', 'one seed']), (2, ['default', 'mean ± std', 'seed'])])
def test_the_legend_of_a_sweep_names_what_is_drawn(drawn, seeds, labels):
    points = [Point(tau, 1.0) for tau in (1.0, 2.0)]
    values = {point: [90.0 + i + point.tau for i in range(seeds)] for point in points}
    figure = drawn(lambda path: draw_sweep({'tau': points, 'lam': points[:1]}, values, points[1], path))
    (legend,) = figure.legends
    assert sorted(text.get_text() for text in legend.get_texts()) == labels


def test_a_benchmark_says_what_its_colors_are(drawn):
    times = {name: Range(0.2, 0.1, 0.3) for name in ('plain_student', 'kd', 'kd_cached')}
    setting = dict(batch_size=1, hardware='a', torch='2', clock='wall')
    (legend,) = drawn(lambda path: draw_times(Timing(times, {}, {}, setting), path)).legends
    told = [text.get_text() for text in legend.get_texts()]
    assert told == ['all computed in every step', 'teacher looked up', 'fastest to slowest round']


def test_methods_that_end_close_together_are_told_apart(drawn):
    def run(last):
        rows = [{'step': e, 'accuracy/top1': a, 'gap/teacher': 1.0} for e, a in ((5, 20.0), (10, last - 2), (20, last))]
        return Scalars([], rows)

    runs = {'KD': [run(94.0), run(95.0)], 'SHAKE': [run(94.5), run(95.5)]}
    axes = drawn(lambda path: draw_comparison(runs, path)).axes[0]
    low, high = axes.get_ylim()
    assert 90 < low and high < 97
    assert sorted(text.get_text() for text in axes.texts) == ['KD 94.50 ± 0.71', 'SHAKE 95.00 ± 0.71']
