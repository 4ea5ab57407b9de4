from pathlib import Path

import pytest
from mmengine.config import Config

from tests.support.stacks import runs_here

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
    failed = [str(path) for path in first.values() if runs_here(path) and print_config([str(path)]) != 0]
    assert len(first) > 20 and not failed, capsys.readouterr().err


def test_missing_config(load_tool, capsys):
    assert load_tool('misc/print_config').main(['missing.py']) == 1
    assert capsys.readouterr().err.startswith('error: config missing.py does not exist')


def test_no_config_is_overwritten(load_tool, tmp_path, capsys):
    main = load_tool('misc/print_config').main
    path, other = tmp_path / 'config.py', tmp_path / 'other.py'
    path.write_text(LAZY)
    other.write_text('a = 1\n')
    assert main([str(path), '--save-path', str(path), '--overwrite']) == 1
    assert main([str(path), '--save-path', str(other)]) == 1
    assert main([str(path), '--save-path', str(tmp_path / 'other.txt')]) == 1
    errors = capsys.readouterr().err
    assert 'is read by this very command' in errors and 'was not written by shake_mm' in errors
    assert (path.read_text(), other.read_text()) == (LAZY, 'a = 1\n')
    assert (
        main([str(path), '--save-path', str(other), '--overwrite']) == 0 == main([str(path), '--save-path', str(other)])
    )
    assert 'depth=18' in other.read_text()
