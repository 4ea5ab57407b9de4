"""Our configs for mmengine's get_config and get_model, as any program calls them after an import of this package."""

import pytest
from mmengine.config import Config
from mmengine.hub import get_config, get_model

from shake_mm import compat
from shake_mm.engine import Distiller

from .processes import COMPAT, python

BASELINE = 'baseline/resnet8_digits100.py'
PAIR = 'dml/dml_resnet14_resnet8_digits100.py'


@pytest.mark.parametrize('name', [BASELINE, PAIR, '_base_/default_runtime.py'])
def test_a_config_by_name_is_the_file(name):
    cfg, plain = get_config(f'shake_mm::{name}'), Config.fromfile(f'{compat.configs_dir()}/{name}')
    if 'model' in cfg:
        assert cfg.model.pop('_scope_') == plain.default_scope
    assert cfg.to_dict() == plain.to_dict()


def test_a_network_by_name():
    model = get_model(f'shake_mm::{BASELINE}')
    assert type(model).__name__ == 'ImageClassifier' and model.head.num_classes == 100


def test_a_distiller_by_name():
    model = get_model(f'shake_mm::{PAIR}')
    assert isinstance(model, Distiller) and model.student.head.num_classes == 100


def test_other_packages_are_as_they_were():
    assert '_scope_' not in get_config('mmpretrain::resnet/resnet18_8xb16_cifar10.py').model


def test_without_it_types_are_looked_up_here():
    code = f"""
from mmengine.hub import get_model
get_model('shake_mm::{BASELINE}')
"""
    others = 'workarounds.workaround_torchvision(), workarounds.workaround_config_paths()'
    plain = python(f'{COMPAT}\n{others}\n{code}')
    assert 'ImageClassifier is not in the' in plain.stderr
    assert python(f'import shake_mm\n{code}').returncode == 0
