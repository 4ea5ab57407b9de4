"""The tools that call a command of the package, as another program or a test imports them, and at a shell."""

import importlib
import importlib.util
import re
import subprocess
import sys

import pytest

from .conftest import TOOLS

ROOT = TOOLS.parent

COMMANDS = ['train', 'test', 'export_student', 'cache_teacher', 'run_grid']
DEMONSTRATIONS = ['demo', 'demo_det']


@pytest.mark.parametrize('name', COMMANDS)
def test_they_call_the_package(load_tool, name):
    assert load_tool(name).main is importlib.import_module(f'shake_mm.cli.{name}').main


@pytest.mark.parametrize('name', DEMONSTRATIONS)
def test_demonstrations_call_the_analysis(load_tool, name, monkeypatch):
    monkeypatch.setattr(sys, 'path', list(sys.path))
    assert load_tool(name).main is importlib.import_module(f'analysis.{name}').main


@pytest.mark.parametrize('command', [[TOOLS / 'train.py'], ['-m', 'shake_mm.cli.train'], [TOOLS / 'demo.py']])
def test_they_run_anywhere(command, tmp_path):
    command = [sys.executable, '-W', 'ignore', *map(str, command), '--help']
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0 and result.stdout.startswith('usage: '), result.stderr


def test_modules_that_the_pages_run_exist():
    pages = [ROOT / 'README.md', *(ROOT / 'docs').glob('*.md')]
    named = {
        name for page in pages for name in re.findall(r'python -m ((?:analysis|benchmarks)[\w.]*)', page.read_text())
    }
    assert len(named) == 7
    assert all(hasattr(importlib.import_module(name), 'main') for name in named)
