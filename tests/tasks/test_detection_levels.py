"""Levels f1, f2, … of detectors whose necks and heads do not say how many there are."""

import copy

import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.registry import MODELS
from shake_mm.taps import levels_of
from shake_mm.tasks import task_of
from shake_mm.tasks.detection_levels import count_levels
from tests.configs.detectors import model_of
from tests.support.detectors import scenes

LEVELS = {
    'detr/detr_r50_8xb2-150e_coco': 1,
    'deformable_detr/deformable-detr_r50_16xb2-50e_coco': 4,
    'centernet/centernet_r18_8xb16-crop512-140e_coco': 1,
    'mask2former/mask2former_r50_8xb2-lsj-50e_coco': 4,
    'libra_rcnn/libra-faster-rcnn_r50_fpn_1x_coco': 5,
}


def network(path):
    """The detector on a thin ResNet-18, with one layer in its encoder and decoder."""
    config = model_of(f'mmdet::{path}.py')
    config.backbone.update(depth=18, base_channels=8, init_cfg=None)
    channels = [8, 16, 32, 64]
    for neck in config.neck if isinstance(config.get('neck'), list) else [config.get('neck') or {}]:
        if neck.get('type') in ('FPN', 'ChannelMapper'):
            neck.in_channels = channels[-len(neck.in_channels) :]
        elif neck.get('type') == 'CTResNetNeck':
            neck.update(in_channels=64, num_deconv_filters=(16, 8, 8), use_dcn=False)
            config.bbox_head.update(in_channels=8, feat_channels=8)
    if 'panoptic_head' in config:
        config.panoptic_head.in_channels = channels
    for part in ('encoder', 'decoder'):
        if part in config:
            config[part].num_layers = 1
    model = MODELS.build(config)
    model.init_weights()  # some of its parameters hold nothing before
    return model


@pytest.mark.parametrize('path', LEVELS, ids=lambda path: path.partition('/')[0])
def test_they_are_counted(path):
    model = network(path).train()
    before = copy.deepcopy(model.state_dict())
    assert len(levels_of(task_of(model).aliases(model))) == LEVELS[path] == count_levels(model)
    assert not any(parameter.is_meta for parameter in model.parameters())
    assert model.training and all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_of_a_mask2former_features_alone_are_distilled():
    """No level needs a layer's name, and what cannot be names them."""
    path = 'mask2former/mask2former_r50_8xb2-lsj-50e_coco'
    student, teacher = network(path), network(path)
    with pytest.raises(UsageError, match=r'predicts masks, answers no queries of another: distill features \(f1, f2'):
        MODELS.build(dict(type='shake_mm.KD', student=student, teachers=[copy.deepcopy(teacher)]))
    hint = dict(of='student.f*', to='teacher0.f*', loss=dict(type='FitNetsLoss'))
    model = MODELS.build(dict(type='shake_mm.Distiller', student=student, teachers=[teacher], terms=dict(hint=hint)))
    assert [term.to for term in model.terms.values()] == [f'teacher0.f{i}' for i in range(1, 5)]


def test_a_detr_learns_features_without_names_of_layers():
    """Every level of its neck, by a method's file that says f*; the transformer of the teacher does not run."""
    path = 'deformable_detr/deformable-detr_r50_16xb2-50e_coco'
    teacher = network(path)
    terms = dict(task=dict(of='student'), hint=dict(of='student.f*', to='teacher*.f*', loss=dict(type='FitNetsLoss')))
    model = MODELS.build(
        dict(type='shake_mm.Distiller', student=network(path), teachers=[teacher], terms=terms)
    ).train()
    calls = []
    teacher.encoder.register_forward_hook(lambda *args: calls.append(1))
    losses = model(**model.data_preprocessor(scenes(), True), mode='loss')
    hints = {key: value for key, value in losses.items() if key.startswith('loss_hint')}
    assert list(hints) == [f'loss_hint_f{i}' for i in range(1, 5)] and all(value > 0 for value in hints.values())
    assert not calls
    gradient = torch.autograd.grad(sum(hints.values()), model.student.neck.convs[0].conv.weight)[0]
    assert gradient.abs().sum() > 0


def test_what_cannot_be_tried_out_has_none():
    model = network('detr/detr_r50_8xb2-150e_coco')
    model.neck.convs[0].conv.weight = torch.nn.Parameter(torch.zeros(3, 3, 1, 1))
    assert count_levels(model) == 0 and levels_of(task_of(model).aliases(model)) == []
