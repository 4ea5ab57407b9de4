import argparse
import sys

import pytest
import torch

from analysis import demonstration
from analysis.demonstration import evaluate_member
from shake_mm.grid import Run, RunFailed
from tests.support import forged


def test_a_member_is_measured_once(tmp_path):
    script = tmp_path / 'test.py'
    script.write_text("""
import json, sys
config, checkpoint, options = sys.argv[1], sys.argv[2], sys.argv[3:]
assert checkpoint.endswith('epoch_2.pth') and options[-3:] == ['--cfg-options', 'x=1', 'randomness.seed=0']
assert options[options.index('--out-item') + 1] == 'metrics'
json.dump({options[1]: 0.5}, open(options[options.index('--out') + 1], 'w'))
""")
    config = tmp_path / 'config.py'
    config.write_text('train_cfg = dict(max_epochs=2)\n')
    run, command = Run('a', config, tmp_path / 'a', 0, ('x=1',)), [sys.executable, str(script)]
    run.work_dir.mkdir()
    assert evaluate_member(run, 'proxy0', command=command) == {'proxy0': 0.5}
    script.write_text("print('the reason'); raise SystemExit(4)")
    assert evaluate_member(run, 'proxy0', command=command) == {'proxy0': 0.5}
    with pytest.raises(RunFailed, match=r'(?s)a, evaluated as proxy1, failed \(exit status 4\).*the reason'):
        evaluate_member(run, 'proxy1', command=command)


def test_nothing_that_it_loads_is_run(tmp_path, capsys, monkeypatch):
    """Inferencers of mmpretrain and mmdet end in `torch.load`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'code.pth').write_bytes(dict(forged.payloads())['code.pth'])
    load = torch.load

    def demonstrate(args, console):
        torch.load(args.file, weights_only=False)

    assert demonstration.run(demonstrate, argparse.Namespace(file='code.pth')) == 1
    assert 'holds code' in capsys.readouterr().err and not (tmp_path / forged.MARKER).exists()
    assert torch.load is load
