"""The wheel in environments of its own that see the packages of this one, or of each stack, and not the checkout."""

import json

import pytest

from .support import tiny
from .support.environments import ROOT, fresh, run
from .support.wheels import build_wheel, copy_sources

pytestmark = pytest.mark.slow

PAIR = 'shake_mm::dml/dml_resnet14_resnet8_digits100.py'
SMALL = (
    *('train_cfg.max_epochs=1', 'train_dataloader.dataset.num_samples=32', 'train_dataloader.batch_size=16'),
    'val_dataloader.dataset.num_samples=16',
)


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp('wheel')
    return build_wheel(copy_sources(folder / 'source'), folder)


@pytest.fixture(scope='module')
def programs(tmp_path_factory, wheel):
    """The folder of programs of an environment with the wheel."""
    return fresh(tmp_path_factory.mktemp('installed') / 'env', wheel)


@pytest.mark.parametrize('name', ['current', 'classic', 'onedl'])
def test_a_pair_trains_on_each_stack(wheel, tmp_path, name):
    """In an environment that sees the stack's packages and the installed wheel alone; its checkpoint is exported."""
    target = 'make venv' if name == 'current' else f'make venv STACK={name}'
    python = ROOT / ('.venv' if name == 'current' else f'.venv-{name}') / 'bin/python'
    if not python.exists():
        pytest.skip(f'`{target}` has not been run in this checkout')
    programs = fresh(tmp_path / 'env', wheel, like=python)
    code = 'import shake_mm.stack; print(shake_mm.stack.name(), shake_mm.__file__)'
    stack, where = run(programs, 'python', '-c', code, cwd=tmp_path).stdout.split()
    assert stack == name and where.startswith(str(programs.parent))
    options = ('--work-dir', 'run', '--cfg-options', *SMALL)
    result = run(programs, 'python', '-m', 'shake_mm', 'train', PAIR, *options, cwd=tmp_path)
    assert result.returncode == 0 and 'accuracy/top1:' in result.stdout, result.stderr
    result = run(programs, 'python', '-m', 'shake_mm', 'export', PAIR, 'run/epoch_1.pth', 'student.pth', cwd=tmp_path)
    assert result.returncode == 0 and 'equal logits' in result.stdout, result.stderr


def test_a_pair_by_its_name_trains_by_python_m_and_is_exported(programs, tmp_path):
    options = ('--work-dir', 'run', '--cfg-options', *SMALL)
    result = run(programs, 'python', '-m', 'shake_mm', 'train', PAIR, *options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    result = run(programs, 'shake-export', PAIR, 'run/epoch_1.pth', 'student.pth', cwd=tmp_path)
    assert result.returncode == 0 and 'equal logits' in result.stdout, result.stderr
    where = run(programs, 'python', '-c', 'import shake_mm; print(shake_mm.__file__)', cwd=tmp_path).stdout
    assert where.startswith(str(programs.parent)) and str(ROOT) not in where


def test_a_config_of_ones_own_trains_and_is_tested_by_the_programs(programs, tmp_path):
    (tmp_path / 'config.py').write_text(tiny.CLASSIFIERS)
    assert run(programs, 'shake-train', 'config.py', '--work-dir', 'run', cwd=tmp_path).returncode == 0
    options = ('--work-dir', 'test', '--out', 'metrics.json', '--out-item', 'metrics')
    result = run(programs, 'shake-test', 'config.py', 'run/epoch_1.pth', *options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert 'accuracy/top1' in json.loads((tmp_path / 'metrics.json').read_text())


def test_mmengine_finds_the_configs_of_the_installed_package(programs, tmp_path):
    code = """
import shake_mm
from mmengine.hub import get_config, get_model
assert get_config('shake_mm::baseline/resnet8_digits100.py').filename.startswith(shake_mm.__path__[0])
print(type(get_model('shake_mm::baseline/resnet8_digits100.py')).__name__)
"""
    result = run(programs, 'python', '-c', code, cwd=tmp_path)
    assert result.stdout.endswith('ImageClassifier\n'), result.stderr
