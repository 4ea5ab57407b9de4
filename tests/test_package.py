"""The package as a whole: what a wheel carries, what the version guard says, what importing registers."""

import importlib.metadata
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from mmengine.registry import DATASETS, HOOKS, METRICS, MODELS, TRANSFORMS, DefaultScope

import shake_mm

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ('configs', 'tools', 'requirements', 'shake_mm')
FILES = ('setup.py', 'pyproject.toml', 'MANIFEST.in', 'LICENSE', 'CITATION.cff', 'model-index.yml')


@pytest.fixture(scope='module')
def checkout(tmp_path_factory) -> Path:
    """A copy of the sources, so that a build leaves nothing in this checkout."""
    folder = tmp_path_factory.mktemp('checkout')
    for name in SHIPPED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns('__pycache__', '.mim'))
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    return folder


def build_wheel(source: Path, folder: Path) -> set[str]:
    command = [sys.executable, '-m', 'pip', 'wheel', '--no-deps', '--no-build-isolation', '--wheel-dir', str(folder)]
    result = subprocess.run([*command, str(source)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    (wheel,) = folder.glob('shake_mm-*.whl')
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def expected_files() -> set[str]:
    """Every config, tool and module, under the name it has in a wheel."""
    files = {'shake_mm/.mim/model-index.yml'}
    for folder, prefix in (('configs', 'shake_mm/.mim/'), ('tools', 'shake_mm/.mim/'), ('shake_mm', '')):
        for path in (ROOT / folder).rglob('*'):
            relative = path.relative_to(ROOT)
            if path.suffix in ('.py', '.sh', '.yml', '.yaml') and '.mim' not in relative.parts:
                files.add(f'{prefix}{relative.as_posix()}')
    return files


def test_wheel_carries_configs_and_tools(checkout, tmp_path):
    files = build_wheel(checkout, tmp_path)
    assert expected_files() <= files
    assert not any('__pycache__' in name for name in files)


def test_sdist_builds_the_same_wheel(checkout, tmp_path):
    code = f'from setuptools import build_meta; build_meta.build_sdist({str(tmp_path)!r})'
    subprocess.run([sys.executable, '-c', code], cwd=checkout, check=True, capture_output=True)
    (sdist,) = tmp_path.glob('shake_mm-*.tar.gz')
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter='data')
    (source,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert expected_files() <= build_wheel(source, tmp_path)


def test_editable_installation_links(checkout, tmp_path):
    code = f'from setuptools import build_meta; build_meta.build_editable({str(tmp_path)!r})'
    subprocess.run([sys.executable, '-c', code], cwd=checkout, check=True, capture_output=True)
    for part in ('configs', 'tools', 'model-index.yml'):
        assert (checkout / 'shake_mm' / '.mim' / part).resolve() == checkout / part


@pytest.mark.parametrize('name', list(shake_mm.REQUIRES))
@pytest.mark.parametrize('found', ['0.1.0', '99.0', None])
def test_version_guard(monkeypatch, name, found):
    installed = importlib.metadata.version

    def version(package: str) -> str:
        if package != name:
            return installed(package)
        if found is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(importlib.metadata, 'version', version)
    if (name, found) == ('torch', '99.0'):  # has no upper bound
        shake_mm.check_versions()
        return
    with pytest.raises(ImportError, match=f'pip install .{name}>=') as info:
        shake_mm.check_versions()
    assert str(found or 'not installed') in str(info.value) and '\n' not in str(info.value)


def test_version_guard_accepts_what_is_installed():
    assert shake_mm.check_versions() is None


def test_importing_registers_everything_and_not_mmrazor():
    code = """
import sys
import shake_mm
from mmengine.registry import DATASETS, HOOKS, METRICS, MODELS, TRANSFORMS
for registry in (MODELS, DATASETS, TRANSFORMS, METRICS, HOOKS):
    assert registry.children['shake_mm'].scope == 'shake_mm'
assert 'mmrazor' not in sys.modules
from shake_mm.registry import MODELS
for name in ('mmrazor.L2Loss', 'mmdet.L1Loss', 'mmpretrain.CrossEntropyLoss'):
    print(MODELS.build(dict(type=name)))
"""
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize('scope', ['mmengine', 'mmpretrain', 'mmdet', 'shake_mm'])
def test_parts_resolve_in_any_scope(scope):
    with DefaultScope.overwrite_default_scope(scope):
        for registry in (MODELS, DATASETS, TRANSFORMS, METRICS, HOOKS):
            for name, part in registry.children['shake_mm'].module_dict.items():
                with registry.switch_scope_and_registry(None) as current:
                    assert current.get(f'shake_mm.{name}') is part


def test_a_wheel_says_that_the_package_is_typed(checkout, tmp_path):
    assert 'shake_mm/py.typed' in build_wheel(checkout, tmp_path)
