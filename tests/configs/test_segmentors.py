"""Configs of segmentors: those of mmsegmentation's pairs build thin and make a step, and the zoo has the teachers."""

import copy
from pathlib import Path

import mmseg.models
import pytest
import torch
import yaml
from mmengine.config import ConfigDict
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope

from shake_mm.registry import MODELS
from shake_mm.safe_io import sources
from shake_mm.tasks import SegmentationTask

from ..support.segmentors import pictures
from ..support.stacks import needs_mmrazor
from .cells import CONFIGS
from .detectors import load, model_of

ZOO = Path(mmseg.models.__file__).parents[1] / '.mim/configs'
NAMES = sorted(
    str(path.relative_to(CONFIGS)) for data in ('cityscapes', 'ade20k') for path in CONFIGS.glob(f'*/*_{data}.py')
)
LOGGED = {
    'kd': {'loss_student_from_teacher'},
    'cwd': {'loss_cwd'},
    'shake': {'loss_student_from_proxy', 'loss_proxy_from_teacher', 'loss_proxy_from_student'},
}


@pytest.fixture(autouse=True)
def quiet():
    MMLogger.get_instance('mmengine', log_level='WARNING')
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


def thin(config):
    """A segmentor of the same parts: ResNets of 18 layers, an eighth as wide; no weights, norms for one process."""
    model = ConfigDict(copy.deepcopy(config))
    _plain(model)
    if model.backbone.type == 'ResNetV1c':
        factor = 8 if model.backbone.depth == 18 else 32
        model.backbone.update(depth=18, stem_channels=8, base_channels=8)
        heads = [model.decode_head, model.auxiliary_head]
        for head in heads:
            head.in_channels //= factor
            head.channels //= 8
            if 'c1_in_channels' in head:
                head.update(c1_in_channels=head.c1_in_channels // (64 if factor == 8 else 256) * 8, c1_channels=4)
    else:
        model.backbone.update(embed_dims=8, num_layers=[1, 1, 1, 1])
        model.decode_head.update(in_channels=[8, 16, 40, 64], channels=16)
    return model


def _plain(config):
    for part in config.values() if isinstance(config, dict) else config:
        if isinstance(part, dict | list):
            _plain(part)
    if isinstance(config, dict):
        if config.get('type') == 'SyncBN':
            config['type'] = 'BN'
        for key in ('pretrained', 'init_cfg'):
            if config.get(key):
                config[key] = None


@pytest.mark.parametrize('name', NAMES)
def test_makes_a_step(name):
    cfg = load(name)
    cfg.model.student = thin(cfg.model.student)
    cfg.model.student.data_preprocessor.size = (64, 64)
    teacher = MODELS.build(thin(model_of(cfg.model.teachers.config)))
    classes = {'cityscapes': 19, 'ade20k': 150}[name.removesuffix('.py').rpartition('_')[2]]
    cfg.model.teachers = dict(config=teacher)
    model = MODELS.build(cfg.model).train()
    assert isinstance(model.task, SegmentationTask) and model.task.num_classes(model.student) == classes
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    before = {key: value.detach().clone() for key, value in model.named_parameters()}
    frozen = {key: value.clone() for key, value in teacher.state_dict().items()}

    logged = model.train_step(pictures(), wrapper)

    assert all(value.isfinite() for value in logged.values()) and logged['loss'] > 0
    assert {key for key in logged if key.startswith('loss_')} == LOGGED[name.partition('/')[0]]
    assert any(key.startswith('student.decode') for key in logged)
    assert any(key.startswith('student.aux') for key in logged) == ('segformer' not in name)
    moved = {key for key, value in model.named_parameters() if not torch.equal(value, before[key])}
    for part in ('student.backbone', 'student.decode_head', *('proxies' for _ in model.proxies)):
        assert any(key.startswith(part) for key in moved), part
    assert all(torch.equal(value, frozen[key]) for key, value in teacher.state_dict().items())


@pytest.mark.parametrize('name', NAMES)
def test_a_few_lines_over_mmsegmentations_own_and_weights_of_its_zoo(name):
    lines = (CONFIGS / name).read_text().splitlines()
    assert len([line for line in lines if line.strip()]) <= 10
    cfg = load(name)
    teacher = cfg.model.teachers
    assert teacher.config == teacher.checkpoint and cfg.train_cfg.type == 'IterBasedTrainLoop'
    path = teacher.config.removeprefix('mmseg::')
    listed = yaml.safe_load((ZOO / Path(path).parent / 'metafile.yaml').read_text())['Models']
    (weights,) = [entry['Weights'] for entry in listed if entry['Config'] == f'configs/{path}']
    assert sources._of_config(teacher.checkpoint) == weights


@needs_mmrazor
def test_cwd_is_mmrazors_recipe():
    """Loss, weight and temperature of mmrazor's own config, on the same pair."""
    import mmrazor

    folder = Path(mmrazor.__file__).parent / '.mim/configs/distill/mmseg/cwd'
    (file,) = folder.glob('*.py')
    text = file.read_text()
    assert "loss_cwd=dict(type='ChannelWiseDivergence', tau=1, loss_weight=5)" in text
    cfg = load('cwd/cwd_pspnet-r101_pspnet-r18_cityscapes.py')
    term = cfg.model.terms.cwd
    assert (term.loss.type, term.loss.tau, term.weight) == ('mmrazor.ChannelWiseDivergence', 1.0, 5.0)
    assert cfg.model.teachers.config in text
    assert "source='decode_head.conv_seg'" in text
    assert SegmentationTask().aliases(MODELS.build(thin(cfg.model.student)))['logits'] == 'decode_head.conv_seg'
