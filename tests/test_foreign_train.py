"""A merged config of ours trains by the train.py of mmpretrain and of mmdet, which have not imported this package."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shake_mm.cli import print_config

from .support import tiny
from .support.environments import ROOT

STUDENT = """
_base_ = ['student.py', 'shake_mm::_base_/distill.py']
model = dict(
    _delete_=True,
    type='shake_mm.DML',
    student=_base_.model,
    teachers=dict(config='student.py', trainable=True),
)
"""


def merged(folder: Path, text: str) -> Path:
    """Write a config, and merge it into one file."""
    (folder / 'config.py').write_text(text)
    assert print_config.main([str(folder / 'config.py'), '--save-path', str(folder / 'merged.py')]) == 0
    return folder / 'merged.py'


def their_train(package: str, config: Path, folder: Path) -> subprocess.CompletedProcess:
    """Train by a package's own script, as its wheel carries it."""
    script = Path(importlib.import_module(package).__file__).parent / '.mim/tools/train.py'
    command = [sys.executable, '-W', 'ignore', str(script), str(config), '--work-dir', str(folder / 'run')]
    env = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=env, timeout=600)


@pytest.mark.parametrize(
    ('package', 'text'),
    [('mmpretrain', tiny.CLASSIFIERS), pytest.param('mmdet', tiny.DETECTORS, marks=pytest.mark.slow)],
)
def test_their_script_trains(package, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plain = their_train(package, merged(tmp_path, text).with_name('config.py'), tmp_path)
    assert 'does not support to load shake_mm config' in plain.stderr
    result = their_train(package, tmp_path / 'merged.py', tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / 'run/epoch_1.pth').is_file()


@pytest.mark.parametrize(
    ('own', 'imports'),
    [
        ('', ['shake_mm']),
        ("custom_imports = dict(imports='my_parts', allow_failed_imports=True)", ['my_parts', 'shake_mm']),
        ("custom_imports = dict(imports=['shake_mm', 'my_parts'])", ['shake_mm', 'my_parts']),
    ],
)
def test_a_merged_config_imports_the_package(own, imports, tmp_path, monkeypatch):
    """Whether or not the user's own config imports something."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / 'my_parts.py').touch()
    (tmp_path / 'student.py').write_text(f"{own}\nmodel = dict(type='ImageClassifier')\n")
    from mmengine.config import Config

    cfg = Config.fromfile(merged(tmp_path, STUDENT))
    assert cfg.custom_imports.imports == imports
    assert bool(cfg.custom_imports.get('allow_failed_imports')) == ('True' in own)


def test_a_plain_config_gets_no_import(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert 'shake_mm' not in merged(tmp_path, "model = dict(type='ResNet')").read_text().partition('\n')[2]
