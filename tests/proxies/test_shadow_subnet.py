"""The proxy inside the student's convolutions, against networks that are built narrow."""

import copy

import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.registry import MODELS

STUDENTS = {
    'resnet': (
        dict(type='shake_mm.CRDResNet', depth=8, widths=(8, 8, 12, 16)),
        16,
        {0.75: dict(widths=(6, 6, 9, 12)), 0.5: dict(widths=(4, 4, 6, 8))},
    ),
    'wide resnet': (
        dict(type='shake_mm.CRDWideResNet', depth=10, widen_factor=2, base_channels=8),
        64,
        {0.75: dict(base_channels=6), 0.5: dict(base_channels=4)},
    ),
    'vgg': (
        dict(type='shake_mm.CRDVGG', depth=8, widths=(8, 8, 12, 16, 16)),
        16,
        {0.75: dict(widths=(6, 6, 9, 12, 12)), 0.5: dict(widths=(4, 4, 6, 8, 8))},
    ),
    'mobilenetv2': (
        dict(type='shake_mm.CRDMobileNetV2', widen_factor=0.25, last_channels=64),
        64,
        {0.5: dict(widen_factor=0.125, last_channels=32)},
    ),
    'shufflenetv1': (
        dict(type='shake_mm.CRDShuffleNetV1', widths=(48, 96, 192), blocks=(1, 2, 1), stem_channels=24),
        192,
        {0.5: dict(widths=(24, 48, 96), stem_channels=12)},
    ),
    'shufflenetv2': (
        dict(type='shake_mm.CRDShuffleNetV2', widths=(16, 32, 64, 64), blocks=(1, 2, 1), stem_channels=8),
        64,
        {0.75: dict(widths=(12, 24, 48, 48), stem_channels=6), 0.5: dict(widths=(8, 16, 32, 32), stem_channels=4)},
    ),
}
CASES = [(name, width) for name, (_, _, narrow) in STUDENTS.items() for width in (1.0, *narrow)]


def network(backbone, channels):
    return dict(
        type='ImageClassifier',
        _scope_='mmpretrain',
        backbone=backbone,
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=5, in_channels=channels),
    )


def shake(student, width, **kwargs):
    model = MODELS.build(
        dict(
            type='shake_mm.SHAKE',
            student=student,
            teachers=MODELS.build(student),
            proxies=dict(type='ShadowSubnet', width=width),
            input_size=32,
            **kwargs,
        )
    )
    model.init_weights()
    for parameter in model.proxies.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))  # BatchNorm apart from the student's
    return model.double().train()


def narrow_twin(name, width, model):
    """The network built narrow: the first channels of the student's weights, BatchNorm and head of the proxy."""
    backbone, channels, narrow = STUDENTS[name]
    changes = narrow.get(width, {})
    proxy = model.proxies['proxy0']
    twin = MODELS.build(network({**backbone, **changes}, proxy.head.fc.in_features)).double().train()
    own = {**proxy.body.state_dict(), **{f'head.{key}': value for key, value in proxy.head.state_dict().items()}}
    state = twin.state_dict()
    for key, value in model.student.state_dict().items():
        value = own.get(key, value)
        state[key] = value[tuple(slice(size) for size in state[key].shape)]
        if key in own:
            assert own[key].shape == state[key].shape, key
    twin.load_state_dict(state)
    return twin


@pytest.mark.parametrize('name, width', CASES)
def test_equals_a_network_built_narrow(name, width):
    """Logits, and the gradients, which land in the first channels of the student's parameters."""
    backbone, channels, _ = STUDENTS[name]
    model = shake(network(backbone, channels), width)
    twin = narrow_twin(name, width, model)
    inputs = torch.randn(3, 3, 32, 32, dtype=torch.float64)
    proxy = model.proxies['proxy0']
    logits, expected = proxy(inputs), twin(inputs)
    torch.testing.assert_close(logits, expected, rtol=1e-10, atol=1e-12)
    weights = torch.randn_like(logits)
    (logits * weights).sum().backward()
    (expected * weights).sum().backward()
    proxies_own = {**dict(proxy.body.named_parameters()), **dict(proxy.named_parameters())}
    shared = dict(model.student.named_parameters())
    for key, parameter in twin.named_parameters():
        mine = proxies_own.get(key, shared[key])
        if mine is shared[key]:
            whole = torch.zeros_like(mine)
            whole[tuple(slice(size) for size in parameter.shape)] = parameter.grad
        else:
            whole = parameter.grad
        torch.testing.assert_close(mine.grad, whole, rtol=1e-8, atol=1e-10)


def test_nothing_is_copied():
    student = network(*STUDENTS['resnet'][:2])
    model = shake(student, 0.5)
    proxy = model.proxies['proxy0']
    kinds = {name.rpartition('.')[0].split('.')[-1] for name, _ in proxy.named_parameters()}
    assert kinds <= {'bn1', 'bn2', '1', 'fc'}  # BatchNorm, that of the downsampling, the head
    shared = dict(proxy.body.named_modules())
    views = [
        (layer._view('weight'), model.student.get_submodule(name).weight)
        for name, layer in shared.items()
        if type(layer).__name__ == 'SharedLayer'
    ]
    assert len(views) == 9  # of ResNet-8, two for shortcuts
    for view, weight in views:
        assert view.untyped_storage().data_ptr() == weight.untyped_storage().data_ptr()
        assert view.shape[0] == weight.shape[0] // 2
    ids = [id(parameter) for parameter in model.parameters()]
    assert len(ids) == len(set(ids))


def test_a_copy_of_the_model_shares_its_own_student():
    """An EMA hook copies the whole distiller."""
    model = shake(network(*STUDENTS['resnet'][:2]), 0.5)
    twin = copy.deepcopy(model)
    with torch.no_grad():
        twin.student.backbone.conv1.weight.add_(1.0)
    inputs = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    before = model.proxies['proxy0'](inputs)
    assert not torch.allclose(before, twin.proxies['proxy0'](inputs))
    layer = twin.proxies['proxy0'].body.backbone.conv1
    assert layer._owner is twin.student.backbone.conv1


def test_statistics_are_its_own(batch):
    """The student's BatchNorm sees one pass a step, the proxy's another."""
    model = shake(network(*STUDENTS['resnet'][:2]), 1.0)
    alone = copy.deepcopy(model.student)
    inputs, samples = batch(size=32, dtype=torch.float64)
    model(inputs, samples, mode='loss')
    alone(inputs, samples, mode='loss')
    mine = dict(model.student.named_buffers())
    assert all(torch.equal(mine[name], buffer) for name, buffer in alone.named_buffers())
    norm = model.proxies['proxy0'].body.backbone.layer3[0].bn2
    assert int(norm.num_batches_tracked) == 1
    assert not torch.equal(norm.running_mean, mine['backbone.layer3.0.bn2.running_mean'])


def test_grouped_convolutions_keep_their_groups(batch):
    """0.75 of 6 inner channels are 4.5, which three groups do not divide: 6 are kept."""
    model = shake(network(*STUDENTS['shufflenetv1'][:2]), 0.75)
    convolutions = [m for m in model.proxies.modules() if isinstance(m, torch.nn.Conv2d)]
    assert convolutions[1].out_channels == 6 and convolutions[0].out_channels == 18
    assert {m.groups for m in convolutions if m.groups != m.in_channels} == {1, 3}
    assert all(m.in_channels % m.groups == m.out_channels % m.groups == 0 for m in convolutions)
    losses = model(*batch(size=32, dtype=torch.float64), mode='loss')
    assert all(torch.isfinite(value).all() for value in losses.values())


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(width=0.0), r'width is 0.0, but it must be in \(0, 1\]'),
        (dict(width=1.5), 'width is 1.5'),
        (dict(width=0.7, network='shufflenetv1'), 'width is 0.7, whose layers do not fit .* use 0.5 or 0.75'),
        (dict(network='vit'), 'can be shared in part: use a ShadowHead'),
    ],
)
def test_what_cannot_be_shared_is_refused(change, words):
    student = network(*STUDENTS['resnet'][:2])
    kind = change.pop('network', None)
    if kind == 'shufflenetv1':
        student = network(*STUDENTS[kind][:2])
    if kind == 'vit':
        student['backbone'] = dict(type='VisionTransformer', arch='deit-tiny', img_size=32, patch_size=8)
        student['neck'] = None
        student['head'] = dict(type='VisionTransformerClsHead', num_classes=5, in_channels=192)
    with pytest.raises(UsageError, match=words):
        shake(student, change.get('width', 0.5))
