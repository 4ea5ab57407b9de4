"""Cheaper passes of a frozen teacher: what they may change, and what not."""

import copy

import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.members import Inference
from shake_mm.registry import MODELS
from tests.support.detectors import detector, lively, scenes
from tests.support.stacks import needs_float16

SWITCHES = [
    (dict(dtype='bfloat16'), 3e-2),
    pytest.param(dict(dtype='float16'), 4e-3, marks=needs_float16),
    (dict(channels_last=True), 1e-5),
    (dict(fuse_bn=True), 1e-5),
    (dict(dtype='bfloat16', channels_last=True, fuse_bn=True), 4e-2),
]


@pytest.fixture
def build(make_classifier, trained):
    """A KD distiller, with or without a switch; the teacher's weights are the same."""

    def build(inference=None, teacher=None, kind='shake_mm.KD', **changes):
        teacher = teacher or make_classifier(8)
        spec = dict(config=teacher, checkpoint=trained(teacher), **({'inference': inference} if inference else {}))
        torch.manual_seed(0)
        model = MODELS.build(dict(type=kind, student=make_classifier(6), teachers=[spec], **changes))
        model.init_weights()
        return model.train()

    return build


def off(got, want):
    """Largest deviation, as a share of the largest value."""
    return ((got - want).abs().max() / want.abs().max()).item()


@pytest.mark.parametrize(('inference', 'share'), SWITCHES)
def test_logits_within_the_rounding_of_the_switch(build, batch, inference, share):
    inputs, _ = batch()
    want, got = (build(setting).members.frozen['teacher0'](inputs) for setting in (None, inference))
    assert got.dtype == torch.float32 and off(got, want) < share
    assert ('dtype' in inference) == (off(got, want) > 1e-4)


@pytest.mark.parametrize(('inference', 'share'), SWITCHES)
def test_a_step_from_many_states(build, batch, inference, share):
    """Losses and gradients with the switch and without it, from 100 states of the student."""
    plain, switched = build(), build(inference)
    inputs, samples = batch()
    for state in range(100):
        torch.manual_seed(state)
        for parameter in plain.parameters():
            parameter.data.add_(0.1 * torch.randn_like(parameter))
        switched.load_state_dict(plain.state_dict())
        values = []
        for model in (plain, switched):
            model.zero_grad()
            losses = model(inputs, samples, mode='loss')
            sum(losses.values()).backward()
            gradient = torch.cat([p.grad.flatten() for p in model.parameters()])
            values.append((torch.stack(list(losses.values())), gradient))
        assert off(values[1][0], values[0][0]) < 2 * share
        assert (values[1][1] - values[0][1]).norm() < 3 * share * values[0][1].norm()


def test_features_are_recorded_as_float32(build, batch):
    terms = dict(at=dict(of='student.f2', to='teacher0.f2', loss=dict(type='ATLoss')))
    plain, half = (build(setting, terms=terms) for setting in (None, dict(dtype='bfloat16', channels_last=True)))
    seen = []
    for model in (plain, half):
        with model.taps.recording() as taps:
            model.members.frozen['teacher0'](batch()[0])
            seen.append(taps.tensor('teacher0.f2'))
    assert seen[1].dtype == torch.float32 and off(seen[1], seen[0]) < 0.02


def test_compiled_by_torch(build, batch):
    inputs, samples = batch()
    plain, compiled = build(), build(dict(compile=dict(backend='eager')))
    assert off(compiled.members.frozen['teacher0'](inputs), plain.members.frozen['teacher0'](inputs)) < 1e-5
    losses = compiled(inputs, samples, mode='loss')
    want = plain(inputs, samples, mode='loss')
    for name, value in want.items():
        torch.testing.assert_close(losses[name], value)


def test_norms_before_convolutions_fold_rightly(build, batch, make_classifier):
    teacher = make_classifier(8)
    teacher['backbone'] = dict(type='shake_mm.CRDWideResNet', depth=10, widen_factor=2)
    teacher['head']['in_channels'] = 128
    want, got = (
        build(setting, teacher).members.frozen['teacher0'](batch()[0]) for setting in (None, dict(fuse_bn=True))
    )
    assert off(got, want) < 1e-5


class Branched(torch.nn.Module):
    """What its convolution makes is read by more than BatchNorm."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 1)
        self.bn = torch.nn.BatchNorm2d(8)

    def forward(self, x):
        made = self.conv(x)
        return (self.bn(made) + made,)


class Rectified(Branched):
    """A layer writes into what the convolution made, before BatchNorm reads it."""

    def forward(self, x):
        return (self.bn(self.conv(x).relu_()),)


@pytest.fixture(params=[Branched, Rectified])
def odd(request, make_classifier):
    """A teacher around one of them."""
    if request.param.__name__ not in MODELS.module_dict:
        MODELS.register_module(module=request.param)
    return {**make_classifier(8), 'backbone': dict(type=f'shake_mm.{request.param.__name__}')}


def test_what_cannot_be_folded(build, batch, odd):
    plain = build(teacher=odd).members.frozen['teacher0'](batch()[0])
    if 'Branched' in odd['backbone']['type']:
        with pytest.raises(UsageError, match='something else than BatchNorm reads.*leave out inference.fuse_bn'):
            build(dict(fuse_bn=True), odd)
    else:
        torch.testing.assert_close(build(dict(fuse_bn=True), odd).members.frozen['teacher0'](batch()[0]), plain)


def test_a_tap_of_a_folded_layer(build, batch):
    """That of a norm goes on, that of the convolution before it is refused."""
    norm, conv = (
        dict(t=dict(of='student.backbone.bn1', to=f'teacher0.backbone.{layer}', loss=dict(type='ATLoss')))
        for layer in ('bn1', 'conv1')
    )
    inputs, samples = batch()
    plain, folded = (build(setting, terms=norm)(inputs, samples, mode='loss') for setting in (None, dict(fuse_bn=True)))
    torch.testing.assert_close(folded['loss_t'], plain['loss_t'])
    with pytest.raises(UsageError, match=r'a term reads backbone.conv1, which fuse_bn changes'):
        build(dict(fuse_bn=True), terms=conv)


@pytest.mark.parametrize('kind', ['retinanet', 'faster_rcnn'])
@pytest.mark.parametrize(('inference', 'share'), SWITCHES[2::2])
def test_detectors(kind, inference, share, tmp_path):
    student, teacher = lively(detector(kind), 1), lively(detector(kind, 6, 12), 2)
    torch.save(teacher.state_dict(), tmp_path / 't.pth')
    losses = []
    for setting in (None, inference):
        spec = dict(config=detector(kind, 6, 12), checkpoint=str(tmp_path / 't.pth'))
        model = MODELS.build(
            dict(
                type='shake_mm.KD',
                student=copy.deepcopy(student),
                teachers=[spec if setting is None else {**spec, 'inference': setting}],
            )
        )
        torch.manual_seed(0)
        data = model.train().data_preprocessor(scenes(), True)
        losses.append(model(**data, mode='loss')['loss_student_from_teacher'])
    assert losses[1].dtype == torch.float32 and 0 < losses[1].item() < 1e4
    assert abs(losses[1] / losses[0] - 1) < max(share, 1e-4)


@pytest.mark.parametrize(
    ('spec', 'words'),
    [
        (dict(inference=dict(dtyp='float16')), "no key 'dtyp', did you mean dtype"),
        (dict(inference=dict(dtype='int8')), 'none of float32, bfloat16, float16'),
        (dict(inference=dict(fuse_bn=True), trainable=True), '`inference` is for frozen teachers'),
        (dict(cache='x', trainable=True), '`cache` is for frozen teachers'),
    ],
)
def test_settings_that_cannot_be(build, make_classifier, trained, spec, words):
    teacher = make_classifier(8)
    with pytest.raises(UsageError, match=words):
        MODELS.build(
            dict(
                type='shake_mm.KD',
                student=make_classifier(6),
                teachers=[dict(config=teacher, checkpoint=trained(teacher), **spec)],
            )
        )


def test_nothing_by_default():
    assert Inference.parse('teacher0', None) == Inference() and not Inference().halved
