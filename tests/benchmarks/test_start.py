"""How long a run takes to start: that both ways come to their first step and are set beside each other."""

import json

import pytest

from benchmarks import start
from tests.support.tiny import CLASSIFIERS


@pytest.mark.slow
def test_starts(tmp_path, capsys):
    config, out = tmp_path / 'config.py', tmp_path / 'out.json'
    config.write_text(CLASSIFIERS)
    assert start.main([str(config), '--rounds', '1', '--out', str(out)]) == 0
    figures = json.loads(out.read_text())
    for clock in ('wall', 'cpu'):
        ours, plain, more = (figures[clock][key]['median'] for key in ('ours', 'plain', 'ours - plain'))
        assert ours > 0 and plain > 0 and more == ours - plain
    assert "mmengine's lines" in capsys.readouterr().out


def test_a_run_that_does_not_start_is_told(tmp_path):
    with pytest.raises(RuntimeError, match=r'(?s)tools/train\.py did not come to its first step:.*gone\.py'):
        start.start('ours', tmp_path / 'gone.py', tmp_path)
