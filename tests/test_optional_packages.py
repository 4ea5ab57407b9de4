"""What is missing is not missed: classifiers without mmdet and mmrazor, detectors without mmpretrain."""

import re

import pytest

from .support import tiny
from .support.environments import ROOT, lite, python, without
from .support.stacks import NAME

OURS = {
    'mmdet': "mmdet is not installed.*run `pip install 'mmdet>=3.3,<3.4'`",
    'mmpretrain': "mmpretrain is not installed.*run `pip install 'mmpretrain>=1.2,<1.3'`",
    'mmrazor': "mmrazor is not installed.*run `pip install 'mmrazor>=1.0,<1.1'`",
}
ONEDL = {
    'mmdet': "mmdet is not installed.*run `pip install 'onedl-mmdetection>=3.5,<3.6'`",
    'mmpretrain': "mmpretrain is not installed.*run `pip install 'onedl-mmpretrain>=1.3,<1.4'`",
    'mmrazor': "mmrazor, which is not part of OneDL's line.*choose what is not mmrazor's",
}
SAID = ONEDL if NAME == 'onedl' else OURS
WITHOUT = {'mmdet': ('mmdet', 'pycocotools'), 'mmpretrain': ('mmpretrain',)}
NEVER = ('mmrazor', 'transformers', 'timm', 'mmseg', 'safetensors')
"""Missing in all of these environments."""


@pytest.fixture(scope='module', params=list(WITHOUT))
def missing(request, tmp_path_factory):
    """The package that is missing, and where the others are."""
    folder = tmp_path_factory.mktemp('packages') / 'site'
    return request.param, without(folder, *WITHOUT[request.param], *NEVER)


def write(folder, text):
    path = folder / 'config.py'
    path.write_text(text)
    return path


@pytest.mark.parametrize('missing', ['mmdet', pytest.param('mmpretrain', marks=pytest.mark.slow)], indirect=True)
def test_the_other_task_trains(missing, tmp_path):
    package, packages = missing
    config = write(tmp_path, tiny.CLASSIFIERS if package == 'mmdet' else tiny.DETECTORS)
    result = python(packages, ROOT / 'tools/train.py', config, '--work-dir', 'run', cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / 'run/epoch_1.pth').is_file()
    if package == 'mmdet':
        assert 'accuracy/top1:' in result.stdout


def test_its_own_task_is_refused_in_one_sentence(missing, tmp_path):
    """As a base, as the default scope, and as the scope of a type; so is a loss of mmrazor."""
    package, packages = missing
    own = {'mmdet': 'retinanet/retinanet_r50_fpn_1x_coco.py', 'mmpretrain': 'resnet/resnet18_8xb16_cifar10.py'}
    loss = "terms=dict(a=dict(loss=dict(type='mmrazor.L2Loss')))"
    texts = {
        'base.py': f"_base_ = '{package}::{own[package]}'",
        'scope.py': f"default_scope = '{package}'\nmodel = dict(type='ATSS')",
        'type.py': f"model = dict(type='shake_mm.KD', student=dict(type='{package}.ATSS'))",
        'loss.py': f"model = dict(type='shake_mm.KD', {loss})",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    code = f'from shake_mm.cli import train; print([train.main([name]) for name in {list(texts)}])'
    result = python(packages, '-c', code, cwd=tmp_path)
    assert result.stdout == '[1, 1, 1, 1]\n', result.stderr
    sentences = [line for line in result.stderr.splitlines() if line.startswith('error: ')]
    for sentence, name in zip(sentences, [package] * 3 + ['mmrazor'], strict=True):
        assert re.search(SAID[name], sentence)


def test_its_parts_are_refused_and_the_others_are_there(missing, tmp_path):
    """By the registries, by an import, and by a hook that builds such a part."""
    package, packages = missing
    theirs = {'mmdet': ['DigitScenes'], 'mmpretrain': ['Digits', 'DigitPairs']}
    code = f"""
import sys
import shake_mm, shake_mm.cli, shake_mm.checks, shake_mm.export, shake_mm.grid, shake_mm.hooks, shake_mm.loops
from mmengine.registry import DATASETS as ANY, TRANSFORMS
from shake_mm import datasets
from shake_mm.registry import DATASETS, TASKS
theirs = {theirs!r}
for needed, names in theirs.items():
    for name in names:
        for find in (ANY.get, DATASETS.get, lambda name: getattr(datasets, name.rpartition('.')[2])):
            try:
                found = find('shake_mm.' + name)
            except Exception as error:
                assert needed == {package!r} and '{package} is not installed' in str(error), error
                assert 'shake_mm.' + name in str(error)
            else:
                assert needed != {package!r} and found.__name__ == name
DATASETS.import_all()
here = {{name for needed, names in theirs.items() for name in names if needed != {package!r}}}
assert here <= set(DATASETS.module_dict) and not set(theirs[{package!r}]) & set(DATASETS.module_dict)
assert TRANSFORMS.get('shake_mm.RandomView') and {package!r} not in sys.modules
"""
    result = python(packages, '-c', code, cwd=tmp_path)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize('run', [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_demonstration_of_classifiers_needs_neither_mmdet_nor_operators(run, tmp_path):
    """As ``make demo`` finds it in .venv-lite; in the slow lane it runs from the teacher to the exported student."""
    packages = lite(tmp_path / 'site', *WITHOUT['mmdet'], *NEVER)
    code = 'import analysis.demo\nfrom shake_mm.stack import has_operators, find\nassert not has_operators()'
    result = python(packages, '-c', f"{code} and find('mmdet') is None", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    if run:
        small = ('--cfg-options', 'train_cfg.max_epochs=1', 'train_dataloader.dataset.num_samples=64')
        options = ('--seeds', '0', '--rounds', '1', '--work-dir', 'demo', *small)
        result = python(packages, ROOT / 'tools/demo.py', *options, cwd=tmp_path)
        assert result.returncode == 0 and 'Plain mmpretrain classifies' in result.stdout, result.stderr
        assert (tmp_path / 'demo/results.json').is_file() and (tmp_path / 'demo/demo.png').is_file()
