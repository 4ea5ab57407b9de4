"""What students gain that share a teacher: that the figures are there and say what they should."""

import json
from pathlib import Path

from benchmarks import shared_teacher
from shake_mm import compat

PAIR = 'resnet14_resnet8_digits100.py'


def test_students_share(tmp_path, capsys):
    configs = [str(Path(compat.configs_dir()) / method / f'{method}_{PAIR}') for method in ('kd', 'shake')]
    out = tmp_path / 'out.json'
    options = ['--students', '2', '--steps', '1', '--rounds', '1', '--batch-size', '4', '--out', str(out)]
    assert shared_teacher.main([*configs, *options]) == 0
    figures = json.loads(out.read_text())
    for clock in ('wall', 'cpu'):
        rows = figures[clock]
        assert set(rows) == {'live', 'shared', 'live/shared'}
        assert rows['live/shared']['median'] == rows['live']['median'] / rows['shared']['median'] > 0
    assert figures['setting']['students'] == 2 and 'one teacher for all' in capsys.readouterr().out
