"""The sweep's points, configs, tables and image."""

from pathlib import Path

import pytest
from mmengine.config import Config

from analysis.collect import collect
from analysis.plots.sweep import draw_sweep
from analysis.sensitivity import Point, accuracies, default_point, lines, summary, table, write_configs
from shake_mm.errors import UsageError

VALUES = {
    Point(1, 1): [90.0, 92.0],
    Point(4, 1): [95.0, 95.5],
    Point(4, 0.5): [96.0, 95.0],
}


def test_defaults_are_the_configs_or_its_distillers():
    assert default_point(dict(type='shake_mm.SHAKE', setting='paper')) == Point(4.0, 1.0)
    assert default_point(dict(type='shake_mm.KD', tau=2, lam=0.9)) == Point(2.0, 0.9)
    assert default_point(dict(type='shake_mm.SHAKE')) == Point(4.0, 1.0)
    with pytest.raises(UsageError, match='a shake_mm.Baseline has no `tau` to sweep'):
        default_point(dict(type='shake_mm.Baseline'))


def test_two_lines_cross_at_the_default():
    swept = lines(Point(4, 1), [8, 1, 4, 4], [0.5, 1])
    assert swept == {'tau': [Point(1, 1), Point(4, 1), Point(8, 1)], 'lam': [Point(4, 0.5), Point(4, 1)]}


def test_a_config_for_every_point(tmp_path):
    base = tmp_path / 'shake_a_b_digits100.py'
    base.write_text("model = dict(type='shake_mm.SHAKE', tau=3)\ntrain_cfg = dict(max_epochs=1)\n")
    folder = tmp_path / 'configs'
    write_configs(base, [Point(9, 1)], folder)
    (folder / 'mine.py').write_text('a = 1')
    (folder / 'kd-tau1-lam1_a_b.py').write_text('a = 1')
    configs = write_configs(base, list(VALUES), folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        'kd-tau1-lam1_a_b.py',
        'mine.py',
        'shake-tau1-lam1_a_b_digits100.py',
        'shake-tau4-lam0.5_a_b_digits100.py',
        'shake-tau4-lam1_a_b_digits100.py',
    ]
    assert configs[Point(4, 1)].name == 'shake-tau4-lam1_a_b_digits100.py'
    cfg = Config.fromfile(configs[Point(4, 0.5)])
    assert cfg.model == dict(type='shake_mm.SHAKE', tau=4, lam=0.5) and cfg.train_cfg.max_epochs == 1
    configs[Point(4, 1)].write_text('a = 1')
    with pytest.raises(UsageError, match='shake-tau4-lam1_a_b_digits100.py exists and was not written by shake_mm'):
        write_configs(base, list(VALUES), folder)


def test_runs_are_found_by_point(log_run, tmp_path):
    methods = {point: f'shake-tau{point.tau:g}-lam{point.lam:g}' for point in VALUES}
    for point, values in VALUES.items():
        for seed, value in enumerate(values):
            log_run(f'{methods[point]}/{seed}', f'{methods[point]}_a_b_digits100', [50.0, value], seed=seed)
    records = collect(tmp_path).records
    assert accuracies(records, methods) == VALUES
    with pytest.raises(UsageError, match='no finished run of τ=8, λ=1'):
        accuracies(records, {**methods, Point(8, 1): 'shake-tau8-lam1'})


def test_table_and_sentence():
    line = [Point(1, 1), Point(4, 1)]
    assert table(line, 'tau', VALUES).splitlines() == [
        '| τ |      top-1 % | seeds |',
        '|---|-------------:|------:|',
        '| 1 | 91.00 ± 1.41 |     2 |',
        '| 4 | 95.25 ± 0.35 |     2 |',
    ]
    sentence = 'Best at τ = 4; the means lie within 4.25 points; the largest standard deviation over seeds is 1.41.'
    assert summary(line, 'tau', VALUES) == sentence
    assert summary(line, 'tau', {point: values[:1] for point, values in VALUES.items()}).endswith('5.00 points.')


def test_the_image_holds_every_seed(monkeypatch):
    seen = []
    monkeypatch.setattr('analysis.plots.sweep.write_figure', lambda path, figure: seen.append((figure.axes, path)))
    draw_sweep(lines(Point(4, 1), [1, 4], [0.5, 1]), VALUES, Point(4, 1), Path('a.png'), 'Title')
    ((tau, lam), path) = seen[0]
    assert path == Path('a.png') and (tau.get_xlabel(), lam.get_xlabel()) == ('τ', 'λ')
    assert tau.get_title() == 'τ varies, λ = 1' and lam.get_title() == 'λ varies, τ = 4'
    dots = next(line for line in lam.lines if line.get_label() == 'seed')
    assert list(dots.get_xdata()) == [0.5, 0.5, 1, 1] and list(dots.get_ydata()) == [96.0, 95.0, 95.0, 95.5]
    means = tau.containers[0].lines[0]
    assert list(means.get_xdata()) == [1, 4] and list(means.get_ydata()) == [91.0, 95.25]
