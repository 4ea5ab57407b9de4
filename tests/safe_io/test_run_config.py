"""Configs among results are read as the values that they are, and never run."""

import math
from pathlib import Path

import pytest
from mmengine.config import Config

from shake_mm.compat import configs_dir
from shake_mm.errors import UsageError
from shake_mm.safe_io import read_run_config
from tests.support import forged

NAMES = ('shake/shake_resnet14_resnet8_digits100', 'baseline/faster-rcnn_r18-w8_digit-scenes', 'baseline/deit_digits')


@pytest.mark.parametrize('name', NAMES)
def test_what_a_run_writes_is_read(name, tmp_path):
    cfg = Config.fromfile(f'{configs_dir()}/{name}.py')
    cfg.work_dir, cfg.odd = '/a/b', {'1x': -2.5, 'nested': [(1, 2)], 'none': None, 'set': {1, 2}}
    cfg.dump(tmp_path / 'run.py')
    found = read_run_config(tmp_path / 'run.py')
    assert found == Config.fromfile(tmp_path / 'run.py', import_custom_modules=False)._cfg_dict.to_dict()
    assert found['odd'] == cfg.odd.to_dict() and found['train_cfg']['max_epochs'] == cfg.train_cfg.max_epochs


def test_numbers_without_a_literal(tmp_path):
    (tmp_path / 'run.py').write_text("a = [inf, -inf, nan]\nb = dict({'1': set()}, c=1j)\n")
    found = read_run_config(tmp_path / 'run.py')
    assert found['a'][:2] == [math.inf, -math.inf] and math.isnan(found['a'][2])
    assert found['b'] == {'1': set(), 'c': 1j}


@pytest.mark.parametrize(
    'text',
    [
        f'import os\nos.system({forged.COMMAND!r})',
        f'a = __import__("os").system({forged.COMMAND!r})',
        f'a = [x for x in open({forged.MARKER!r}, "w")]',
        f'a = dict(b=open({forged.MARKER!r}, "w"))',
        f'a = f"{{open({forged.MARKER!r}, chr(119))}}"',
        f'a: open({forged.MARKER!r}, "w") = 1',
        f'_base_ = "x.py"\nif open({forged.MARKER!r}, "w"): pass',
        f'a = (lambda: open({forged.MARKER!r}, "w"))()',
        f'a = dict(**open({forged.MARKER!r}, "w"))',
        f'a = dict([open({forged.MARKER!r}, "w")])',
        'a, b = 1, 2',
        'a.b = 1',
        'a = b',
        'a = "x" * 10**10',
        'a = {[]: 1}',
        'a = -"x"',
        'a = {**{}}',
        'a = (',
        'a = ' + '[' * 1000,
        'a = ' + '-' * 100_000 + '1',
        'a = ' + '9' * 5000,
        'a = "\0"',
        b'\xff\xfe',
        'x' * 5_000_000,
    ],
)
def test_anything_else_is_refused(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'run.py'
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError, match=r'run\.py is no config as a run writes it \(.+\), and it is not run as code'):
        read_run_config(path)
    assert [file.name for file in tmp_path.iterdir()] == ['run.py']


def test_no_file(tmp_path):
    with pytest.raises(UsageError, match='cannot be read'):
        read_run_config(Path(tmp_path / 'gone.py'))
