"""The package as a whole: what a wheel carries, what importing registers."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from mmengine.registry import DATASETS, HOOKS, METRICS, MODELS, TRANSFORMS, DefaultScope

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ('analysis', 'benchmarks', 'configs', 'requirements', 'shake_mm', 'tools')
TOOLS = (
    *('train.py', 'test.py', 'export_student.py', 'cache_teacher.py', 'run_grid.py', 'dataset_prepare.py'),
    *('dist_train.sh', 'dist_test.sh', 'slurm_train.sh', 'slurm_test.sh'),
)
FILES = ('setup.py', 'pyproject.toml', 'MANIFEST.in', 'LICENSE', 'CITATION.cff', 'model-index.yml')


@pytest.fixture(scope='module')
def checkout(tmp_path_factory) -> Path:
    """A copy of the sources, so that a build leaves nothing in this checkout."""
    folder = tmp_path_factory.mktemp('checkout')
    for name in SOURCES:
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
    """Every config, module and user's tool, under the name it has in a wheel."""
    files = {'shake_mm/.mim/model-index.yml', *(f'shake_mm/.mim/tools/{name}' for name in TOOLS)}
    for folder, prefix in (('configs', 'shake_mm/.mim/'), ('shake_mm', '')):
        for path in (ROOT / folder).rglob('*'):
            relative = path.relative_to(ROOT)
            if path.suffix in ('.py', '.yml', '.yaml') and '.mim' not in relative.parts:
                files.add(f'{prefix}{relative.as_posix()}')
    return files


def assert_complete(files: set[str]) -> None:
    """A wheel has what a user needs, of the tools nothing else, and none of what only a checkout can use."""
    assert expected_files() <= files
    assert {name for name in files if name.startswith('shake_mm/.mim/tools/')} <= expected_files()
    assert {name.split('/')[0] for name in files if '.dist-info' not in name} == {'shake_mm'}
    assert not any('__pycache__' in name or 'analysis' in name or 'benchmark' in name for name in files)


def test_wheel_carries_configs_and_tools(checkout, tmp_path):
    assert_complete(build_wheel(checkout, tmp_path))


def test_sdist_builds_the_same_wheel(checkout, tmp_path):
    code = f'from setuptools import build_meta; build_meta.build_sdist({str(tmp_path)!r})'
    subprocess.run([sys.executable, '-c', code], cwd=checkout, check=True, capture_output=True)
    (sdist,) = tmp_path.glob('shake_mm-*.tar.gz')
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter='data')
    (source,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert {path.name for path in source.iterdir()} >= {'analysis', 'benchmarks', 'tools'}
    assert_complete(build_wheel(source, tmp_path))


def test_editable_installation_links(checkout, tmp_path):
    code = f'from setuptools import build_meta; build_meta.build_editable({str(tmp_path)!r})'
    subprocess.run([sys.executable, '-c', code], cwd=checkout, check=True, capture_output=True)
    for part in ('configs', 'tools', 'model-index.yml'):
        assert (checkout / 'shake_mm' / '.mim' / part).resolve() == checkout / part


def python(code: str) -> str:
    result = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_importing_is_light():
    """Neither torch nor a package of OpenMMLab but mmengine; then what a config needs, and nothing else."""
    heavy = ('joblib', 'matplotlib', 'mmcv', 'mmdet', 'mmpretrain', 'mmrazor', 'pandas', 'scipy', 'sklearn')
    heavy += ('timm', 'torch', 'torchvision', 'transformers')
    loaded = f'[name for name in {heavy} if name in sys.modules]'
    assert python(f'import sys, shake_mm; print({loaded})') == '[]\n'
    code = "from mmengine.registry import MODELS; MODELS.get('shake_mm.KD'); MODELS.get('shake_mm.CRDResNet')"
    assert 'mmpretrain' not in python(f'import sys, shake_mm; {code}; print({loaded})')


def test_data_sets_need_scikit_learn_only_for_glyphs():
    """mmdet imports it where it can, so it is taken away until then."""
    python("""
import sys
sys.modules['sklearn'] = None
from shake_mm.datasets import DigitPairs
del sys.modules['sklearn']
assert len(DigitPairs(split='val', num_samples=3)) == 3 and 'sklearn' in sys.modules
""")


def test_importing_registers_everything_and_not_mmrazor():
    """A registry imports the parts when it is asked for one."""
    python("""
import sys
import shake_mm
from mmengine.registry import DATASETS, HOOKS, METRICS, MODELS, TRANSFORMS
for registry in (MODELS, DATASETS, TRANSFORMS, METRICS, HOOKS):
    assert registry.children['shake_mm'].scope == 'shake_mm'
for registry, name in ((MODELS, 'SHAKE'), (DATASETS, 'Digits'), (METRICS, 'MemberMetric'), (HOOKS, 'StageHook')):
    assert registry.get(f'shake_mm.{name}').__module__.startswith('shake_mm.')
assert 'mmrazor' not in sys.modules
from shake_mm.registry import MODELS
from shake_mm import stack
for name in ('mmrazor.L2Loss', 'mmdet.L1Loss', 'mmpretrain.CrossEntropyLoss'):
    if stack.find(name.partition('.')[0]):
        print(MODELS.build(dict(type=name)))
""")


@pytest.mark.parametrize('scope', ['mmengine', 'mmpretrain', 'mmdet', 'shake_mm'])
def test_parts_resolve_in_any_scope(scope):
    with DefaultScope.overwrite_default_scope(scope):
        for registry in (MODELS, DATASETS, TRANSFORMS, METRICS, HOOKS):
            ours = registry.children['shake_mm']
            ours.import_from_location()
            assert ours.module_dict
            for name, part in ours.module_dict.items():
                with registry.switch_scope_and_registry(None) as current:
                    assert current.get(f'shake_mm.{name}') is part


def test_a_wheel_says_that_the_package_is_typed(checkout, tmp_path):
    assert 'shake_mm/py.typed' in build_wheel(checkout, tmp_path)
