"""What is said about the stack that is installed: its name, its versions, what is missing and what mends it."""

import importlib.metadata
import subprocess
import sys
from importlib.util import spec_from_file_location

import pytest

from shake_mm import stack

CLASSIC = dict(torch='2.1.2', mmengine='0.10.7', mmcv='2.1.0', mmpretrain='1.2.0', mmdet='3.3.0', mmrazor='1.0.0')
CLASSIC['mmsegmentation'] = '1.2.2'
CURRENT = {**CLASSIC, 'torch': '2.13.0+cpu'}
ONEDL = {'torch': '2.13.0', 'onedl-mmengine': '0.10.12', 'onedl-mmcv': '2.3.6', 'onedl-mmpretrain': '1.3.6'}
ONEDL |= {'onedl-mmdetection': '3.5.1', 'onedl-mmsegmentation': '1.4.2'}
STACKS = dict(classic=CLASSIC, current=CURRENT, onedl=ONEDL)


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """Let these distributions, and nothing else of the stack, be installed; no module is imported yet."""

    def installed(versions, operators=True):
        def version(distribution):
            try:
                return versions[distribution]
            except KeyError:
                raise importlib.metadata.PackageNotFoundError(distribution) from None

        def spec(module):
            carried = any(name in versions for name in stack.DISTRIBUTIONS[module])
            folder = tmp_path / module
            return spec_from_file_location(module, folder / '__init__.py') if carried else None

        for module in stack.DISTRIBUTIONS:
            monkeypatch.delitem(sys.modules, module, raising=False)
        monkeypatch.setattr(importlib.metadata, 'version', version)
        monkeypatch.setattr(stack, 'find_spec', spec)
        (tmp_path / 'mmcv').mkdir(exist_ok=True)
        (tmp_path / 'mmcv' / '_ext.cpython-311-x86_64-linux-gnu.so').touch()
        if not operators:
            (tmp_path / 'mmcv' / '_ext.cpython-311-x86_64-linux-gnu.so').unlink()

    return installed


@pytest.mark.parametrize('name', STACKS)
def test_each_stack_is_known_and_complete(installed, name):
    installed(STACKS[name])
    assert stack.name() == name and f'the {name} stack: torch 2.' in stack.describe()
    stack.check_versions()
    problems = [stack.problem(module) for module in stack.DISTRIBUTIONS]
    assert [text for text in problems if text] == ([stack.NO_MMRAZOR] if name == 'onedl' else [])


@pytest.mark.parametrize(
    ('name', 'missing', 'module', 'command'),
    [
        ('classic', 'mmcv', 'mmcv', "mim install 'mmcv>=2.0,<2.2'"),
        ('current', 'mmcv', 'mmcv', "pip install --no-build-isolation --no-cache-dir 'mmcv>=2.1,<2.2'"),
        ('onedl', 'onedl-mmcv', 'mmcv', "pip install --no-build-isolation --no-cache-dir 'onedl-mmcv>=2.3,<2.4'"),
        ('classic', 'mmdet', 'mmdet', "pip install 'mmdet>=3.3,<3.4'"),
        ('classic', 'mmsegmentation', 'mmseg', "pip install 'mmsegmentation>=1.2,<1.3'"),
        ('onedl', 'onedl-mmdetection', 'mmdet', "pip install 'onedl-mmdetection>=3.5,<3.6'"),
        ('current', 'mmpretrain', 'mmpretrain', "pip install 'mmpretrain>=1.2,<1.3'"),
        ('onedl', 'onedl-mmpretrain', 'mmpretrain', "pip install 'onedl-mmpretrain>=1.3,<1.4'"),
        ('onedl', 'onedl-mmengine', 'mmengine', "pip install 'onedl-mmengine>=0.10.8,<1'"),
        ('classic', 'torch', 'torch', "pip install 'torch>=2.0'"),
    ],
)
def test_what_is_missing_comes_with_the_command_of_that_stack(installed, name, missing, module, command):
    installed({key: version for key, version in STACKS[name].items() if key != missing})
    sentence = stack.problem(module)
    assert f'{module} is not installed' in sentence and f'{command}`.' in sentence
    if module in stack.REQUIRED:
        with pytest.raises(ImportError) as info:
            stack.check_versions()
        assert str(info.value) == sentence and '\n' not in sentence
    else:
        stack.check_versions()


@pytest.mark.parametrize('name', STACKS)
@pytest.mark.parametrize('version', ['0.1.0', '99.0'])
def test_a_version_that_does_not_fit_is_named(installed, name, version):
    for distribution in STACKS[name]:
        installed({**STACKS[name], distribution: version})
        module = next(module for module, carriers in stack.DISTRIBUTIONS.items() if distribution in carriers)
        sentence = stack.problem(module)
        if (module, version) == ('torch', '99.0'):  # has no upper bound
            assert not sentence
        else:
            assert f'but {module} is {version} (the {stack.name()} stack:' in sentence and '\n' not in sentence


def test_onedl_asks_for_a_newer_torch(installed):
    installed({**ONEDL, 'torch': '2.3.1'})
    assert 'needs torch>=2.4, but torch is 2.3.1' in stack.problem('torch')


def test_mmdet_of_openmmlab_refuses_newer_mmcv(installed):
    installed({**CURRENT, 'mmcv': '2.2.0'})
    stack.check_versions()
    for module, version, other in (('mmdet', '3.3.0', 'onedl-mmdetection'), ('mmseg', '1.2.2', 'onedl-mmsegmentation')):
        sentence = stack.problem(module)
        assert sentence.startswith(f'{module} {version} refuses mmcv 2.2.0: run `') and f'{other} takes it.' in sentence


def test_classifiers_need_neither_mmdet_nor_operators(installed):
    lite = {key: version for key, version in CLASSIC.items() if key not in ('mmdet', 'mmcv', 'mmrazor')}
    installed({**lite, 'mmcv-lite': '2.1.0'}, operators=False)
    stack.check_versions()
    installed({**lite, 'mmcv-lite': '2.1.0', 'mmdet': '3.3.0'}, operators=False)
    stack.check_versions()
    assert 'pip uninstall mmcv-lite`, then `mim install' in stack.problem('mmdet')


def test_two_distributions_of_one_module(installed):
    installed({**CURRENT, 'onedl-mmcv': '2.3.6'})
    with pytest.raises(
        ImportError, match='mmcv and onedl-mmcv overwrite each other: run `pip uninstall mmcv onedl-mmcv`'
    ):
        stack.check_versions()


def test_an_imported_module_is_asked_for_its_version(installed, monkeypatch):
    import mmengine

    installed(CURRENT)
    monkeypatch.setattr(mmengine, '__version__', '0.5.0')
    monkeypatch.setitem(sys.modules, 'mmengine', mmengine)
    assert 'mmengine is 0.5.0' in stack.problem('mmengine')


def test_a_source_tree_without_metadata_is_read(installed, tmp_path, monkeypatch):
    installed({**CURRENT, 'mmdet': ''})
    (tmp_path / 'mmdet').mkdir()
    (tmp_path / 'mmdet' / 'version.py').write_text("# a source tree\n__version__ = '3.3.0'\n")
    assert stack.find('mmdet') == stack.Found(('mmdet',), '3.3.0') and not stack.problem('mmdet')


def test_the_stack_that_is_installed():
    assert stack.name() in STACKS and stack.check_versions() is None
    assert not stack.problem('mmdet')


def test_asking_imports_nothing():
    code = (
        'import sys; sys.path.insert(0, "shake_mm"); import stack; stack.check_versions(); stack.problem("mmdet"); '
        'print(sorted({name.split(".")[0] for name in sys.modules} & set(stack.DISTRIBUTIONS)))'
    )
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert result.stdout == '[]\n', result.stderr
