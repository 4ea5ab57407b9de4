"""A classifier's later stages behind a level, against the network's own; levels of a Swin; ScaleKD from one."""

import pytest
import torch
from mmengine.config import Config
from mmpretrain.structures import DataSample

from shake_mm.compat import configs_dir
from shake_mm.errors import UsageError
from shake_mm.registry import MODELS
from shake_mm.taps import Taps
from shake_mm.tasks import task_of

ARCH = dict(embed_dims=24, depths=[1, 1, 2, 1], num_heads=[1, 2, 2, 4])
BACKBONES = {
    'swin': dict(type='SwinTransformer', arch=ARCH, img_size=64, window_size=2, patch_size=4),
    'resnet': dict(type='ResNet', depth=18, base_channels=8),
    'crd': dict(type='shake_mm.CRDResNet', depth=8, widths=(8, 8, 16, 64)),
    'mobile': dict(type='shake_mm.CRDMobileNetV2', widen_factor=0.5),
    'shuffle': dict(type='shake_mm.CRDShuffleNetV1'),
    'vgg': dict(type='shake_mm.CRDVGG', depth=8),
    'wrn': dict(type='shake_mm.CRDWideResNet', depth=10, base_channels=16),
}
CHANNELS = {'swin': 192, 'mobile': 1280, 'shuffle': 960, 'vgg': 512}


def classifier(kind):
    torch.manual_seed(0)
    model = dict(
        type='mmpretrain.ImageClassifier',
        backbone={**BACKBONES[kind], '_scope_': 'mmpretrain'},
        neck=dict(type='mmpretrain.GlobalAveragePooling'),
        head=dict(type='mmpretrain.LinearClsHead', num_classes=5, in_channels=CHANNELS.get(kind, 64)),
    )
    network = MODELS.build(model)
    network.init_weights()
    for parameter in network.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    return network.eval()


def levels(network, images):
    aliases = task_of(network).aliases(network)
    taps = Taps({'teacher0': network}, {'teacher0': aliases})
    names = sorted(name for name in aliases if name[1:].isdigit() and name != 'f0')
    for name in names:
        taps.request(f'teacher0.{name}')
    with torch.no_grad(), taps.recording():
        network(images)
        return {name: taps.value(f'teacher0.{name}') for name in names}


@pytest.mark.parametrize('kind', BACKBONES)
def test_it_is_what_the_network_makes(kind):
    """Gradients reach the map and no weight."""
    network, images = classifier(kind).requires_grad_(False), torch.randn(2, 3, 64, 64)
    found = levels(network, images)
    assert len(found) >= 3 and (kind != 'swin' or torch.equal(found['f4'], network.backbone(images)[-1]))
    *earlier, last = found.values()
    assert all(x.dim() == 4 for x in found.values())
    for name, level in zip(found, earlier):
        level.requires_grad_()
        behind = task_of(network).behind(network, [name], 'teacher0')
        made = behind(level)
        assert torch.equal(made, last) and behind(level.to('meta')).shape == last.shape
        made.sum().backward()
        assert level.grad.abs().max() > 0
    again = task_of(network).behind(network, ['fl'], 'teacher0')(earlier[-1])
    assert torch.equal(again, last) and all(p.grad is None for p in network.parameters())


@pytest.mark.parametrize('paths', [['f4'], ['fm'], ['f1', 'f2'], ['neck']])
def test_behind_what_is_no_level_before_the_last_it_is_refused(paths):
    with pytest.raises(UsageError, match=r"teacher0: .* is not known: name one level .* such as 'teacher0.fl'"):
        task_of(network := classifier('resnet')).behind(network, paths, 'teacher0')


@pytest.mark.parametrize('kind', ['swin', 'crd'])
def test_scalekd_teaches_the_student_and_its_projectors_alone(kind):
    method = Config.fromfile(f'{configs_dir()}/_base_/methods/scalekd.py').method
    teacher = classifier(kind)
    student = classifier('resnet')
    model = MODELS.build(dict(student=student, teachers=[teacher], input_size=64, **method)).train()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    losses = model(torch.randn(4, 3, 64, 64), [DataSample().set_gt_label(i) for i in range(4)], mode='loss')
    wanted = {'perceived', 'perceived_frequency', 'late', 'late_frequency', 'student_from_teacher'}
    assert {name for name in losses if name.startswith('loss_')} == {f'loss_{term}' for term in wanted}
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters() if p.requires_grad)
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    assert not any(name.startswith('teacher') for name, _ in model.named_parameters())
