"""The tools that call a command of the package, as another program or a test imports them, and at a shell."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from shake_mm import __main__

from .conftest import TOOLS

ROOT = TOOLS.parent

COMMANDS = [
    *('train', 'test', 'export_student', 'deploy', 'cache_teacher', 'run_grid', 'tune'),
    *('misc/print_config', 'misc/taps', 'report'),
]
DEMONSTRATIONS = ['demo', 'demo_det']
HEAVY = ('mmcv', 'mmdet', 'mmpretrain', 'torch', 'torchvision', 'transformers')
SCRIPTS = [path for path in sorted(TOOLS.rglob('*.py')) if "__name__ == '__main__'" in path.read_text(encoding='utf-8')]


@pytest.mark.parametrize('name', COMMANDS)
def test_they_call_the_package(load_tool, name, monkeypatch):
    """The command line is read before the command is imported; each is a command of the module too."""
    module, called = importlib.import_module(f'shake_mm.cli.{Path(name).stem}'), []
    monkeypatch.setattr(module, 'main', lambda argv: called.append(argv) or 3)
    files = ['a.py', 'b.pth', 'c'][: {'test': 2, 'export_student': 3, 'deploy': 3}.get(name, 1)]
    assert load_tool(name).main(files) == 3 and called == [files]
    [command] = [command for command, (module, _) in __main__.COMMANDS.items() if module == Path(name).stem]
    assert __main__.main([command, *files]) == 3 and called == [files, files]


@pytest.mark.parametrize('name', DEMONSTRATIONS)
def test_demonstrations_call_the_analysis(load_tool, name, monkeypatch):
    monkeypatch.setattr(sys, 'path', list(sys.path))
    monkeypatch.setattr(importlib.import_module(f'analysis.{name}'), 'main', lambda argv: argv)
    assert load_tool(name).main(['--jobs', '1']) == ['--jobs', '1']


def test_help_imports_nothing_heavy():
    """Of every script and of every command, in one process."""
    code = f"""
import runpy, sys
import shake_mm
from shake_mm.__main__ import COMMANDS
lines = [[path] for path in {[str(path) for path in SCRIPTS]}]
lines += [['shake_mm'], *(['shake_mm', name] for name in COMMANDS)]
for line in lines:
    sys.argv = [*line, '--help']
    sys.path.insert(0, line[0].rpartition('/')[0])
    run = runpy.run_module if line[0] == 'shake_mm' else runpy.run_path
    try:
        run(line[0], run_name='__main__')
    except SystemExit as stop:
        assert not stop.code, line
    assert not set({HEAVY}) & set(sys.modules), (line, set({HEAVY}) & set(sys.modules))
"""
    result = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count('usage: ') == len(SCRIPTS) + len(__main__.COMMANDS) + 1


def test_an_unknown_command_is_told_in_a_sentence(capsys):
    with pytest.raises(SystemExit) as info:
        __main__.main(['trian'])
    assert info.value.code == 2 and capsys.readouterr().err.startswith(
        "error: argument COMMAND: invalid choice: 'trian'"
    )


@pytest.mark.parametrize('command', [[TOOLS / 'train.py'], ['-m', 'shake_mm.cli.train'], ['-m', 'shake_mm', 'train']])
def test_they_run_anywhere(command, tmp_path):
    command = [sys.executable, '-W', 'ignore', *map(str, command), '--help']
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0 and result.stdout.startswith('usage: '), result.stderr
