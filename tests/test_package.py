"""The package as a whole: what a wheel carries, what importing registers."""

import email
import subprocess
import sys
import tarfile
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest
from mmengine.registry import DATASETS, HOOKS, METRICS, MODELS, TRANSFORMS, DefaultScope
from packaging.requirements import Requirement

from shake_mm import __main__, stack

from .support.wheels import build_wheel, copy_sources

ROOT = Path(__file__).resolve().parents[1]
TOOLS = (
    *(
        'train.py',
        'test.py',
        'export_student.py',
        'cache_teacher.py',
        'run_grid.py',
        'misc/print_config.py',
        'misc/taps.py',
        'dataset_prepare.py',
        'deploy.py',
        'report.py',
        'tune.py',
    ),
    *('dist_train.sh', 'dist_test.sh', 'slurm_train.sh', 'slurm_test.sh'),
)


@pytest.fixture(scope='module')
def checkout(tmp_path_factory) -> Path:
    """A copy of the sources, so that a build leaves nothing in this checkout."""
    return copy_sources(tmp_path_factory.mktemp('checkout'))


@pytest.fixture(scope='module')
def wheel(checkout, tmp_path_factory) -> Path:
    return build_wheel(checkout, tmp_path_factory.mktemp('wheel'))


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def read_in(wheel: Path, name: str) -> str:
    """A file of the wheel's metadata."""
    with zipfile.ZipFile(wheel) as archive:
        (found,) = (entry for entry in archive.namelist() if entry.endswith(f'.dist-info/{name}'))
        return archive.read(found).decode()


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


def test_wheel_carries_configs_and_tools(wheel):
    assert_complete(names_in(wheel))


def test_metadata_says_who_where_and_for_which_python(wheel):
    metadata = email.message_from_string(read_in(wheel, 'METADATA'))
    assert metadata['Home-page'].startswith('https://') and metadata['Author'] == 'The shake_mm authors'
    assert metadata['Requires-Python'] == '>=3.10,<3.14'
    versions = {line.rpartition(' :: ')[2] for line in metadata.get_all('Classifier') if 'Python :: 3.' in line}
    assert versions == {'3.10', '3.11', '3.12', '3.13'} and 'Apache' in metadata['License']
    assert metadata.get_payload().startswith('# shake_mm')


def test_extras_pull_what_they_say(wheel):
    metadata = email.message_from_string(read_in(wheel, 'METADATA'))
    extras = {name: set() for name in [None, *metadata.get_all('Provides-Extra')]}
    for requirement in map(Requirement, metadata.get_all('Requires-Dist')):
        for name, pulled in extras.items():
            always = requirement.marker is None
            if always == (name is None) and (always or requirement.marker.evaluate({'extra': name or ''})):
                pulled.add(requirement.name)
    assert 'torch' in extras[None] and not {'mmengine', 'mmcv', 'onedl-mmengine'} & extras[None]
    assert extras['cls'] == {'mmengine', 'mmcv', 'mmpretrain'} and extras['det'] == {'mmengine', 'mmcv', 'mmdet'}
    assert extras['cls-lite'] == {'mmengine', 'mmcv-lite', 'mmpretrain'}
    assert extras['seg'] == {'mmengine', 'mmcv', 'mmsegmentation', 'ftfy', 'regex'}
    assert extras['onedl-seg'] == {'onedl-mmengine', 'onedl-mmcv', 'onedl-mmsegmentation', 'ftfy', 'regex'}
    assert extras['onedl-cls'] == {'onedl-mmengine', 'onedl-mmcv', 'onedl-mmpretrain'}
    assert extras['onedl-det'] == {'onedl-mmengine', 'onedl-mmcv', 'onedl-mmdetection'}
    others = {'safetensors', 'timm', 'transformers'}
    assert all(extras[name] == {name} for name in others)
    assert extras['deploy'] == {'onnx', 'onnxruntime', 'onnxscript'}
    parts = (extras[name] for name in ('cls', 'det', 'seg', 'optional', 'deploy'))
    assert extras['all'] == others.union(*parts)
    named = {name for names in stack.DISTRIBUTIONS.values() for name in names}
    assert extras['cls'] | extras['det'] | extras['onedl-cls'] | extras['onedl-det'] <= named


def test_every_command_has_an_entry_point(wheel):
    points = ConfigParser()
    points.read_string(read_in(wheel, 'entry_points.txt'))
    commands = {name: module for name, (module, _) in __main__.COMMANDS.items()}
    wanted = {f'shake-{name}': f'shake_mm.__main__:{module}' for name, module in commands.items()}
    assert dict(points['console_scripts']) == wanted
    assert all(callable(getattr(__main__, module)) for module in commands.values())


def test_sdist_builds_the_same_wheel(checkout, tmp_path):
    code = f'from setuptools import build_meta; build_meta.build_sdist({str(tmp_path)!r})'
    subprocess.run([sys.executable, '-c', code], cwd=checkout, check=True, capture_output=True)
    (sdist,) = tmp_path.glob('shake_mm-*.tar.gz')
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter='data')
    (source,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert {path.name for path in source.iterdir()} >= {'analysis', 'benchmarks', 'tools'}
    assert_complete(names_in(build_wheel(source, tmp_path)))


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
            getattr(ours, 'import_all', ours.import_from_location)()
            assert ours.module_dict
            for name, part in ours.module_dict.items():
                with registry.switch_scope_and_registry(None) as current:
                    assert current.get(f'shake_mm.{name}') is part


def test_a_wheel_says_that_the_package_is_typed(wheel):
    assert 'shake_mm/py.typed' in names_in(wheel)
