from pathlib import Path

import pytest
from mmengine.config import Config

BASE = "_base_ = 'shake_mm::_base_/default_runtime.py'\nmodel = dict(type='ResNet', depth=18, names=('a', 'b'))\n"
LAZY = 'from mmengine.model import Sequential\n\nmodel = dict(type=Sequential, depth=18)\n'


@pytest.mark.parametrize('text', [BASE, LAZY])
def test_text_and_lazy_configs(load_tool, tmp_path, capsys, text):
    path, copy = tmp_path / 'config.py', tmp_path / 'copy.py'
    path.write_text(text)
    options = ['--save-path', str(copy), '--cfg-options', 'model.depth=34']
    assert load_tool('misc/print_config').main([str(path), *options]) == 0
    printed = capsys.readouterr().out
    assert 'depth=34' in printed
    (tmp_path / 'printed.py').write_text(printed)
    assert Config.fromfile(copy).model == Config.fromfile(tmp_path / 'printed.py').model


def test_a_config_of_every_folder_prints(load_tool, capsys):
    # That every one loads is tests/configs' matter.
    configs = Path(__file__).resolve().parents[2] / 'configs'
    print_config = load_tool('misc/print_config').main
    first = {path.parent: path for path in sorted(configs.rglob('*.py'), reverse=True)}
    failed = [str(path) for path in first.values() if print_config([str(path)]) != 0]
    assert len(first) > 20 and not failed, capsys.readouterr().err


def test_missing_config(load_tool, capsys):
    assert load_tool('misc/print_config').main(['missing.py']) == 1
    assert capsys.readouterr().err.startswith('error: config missing.py does not exist')
