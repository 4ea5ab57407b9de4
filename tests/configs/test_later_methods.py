"""Methods that came after the paper's table: what their files come to, by the formulas in float64, and whole runs."""

from functools import partial

import pytest
import torch
from mmengine.config import Config
from torch.nn import functional as F

from shake_mm.engine.norms import norm_behind
from shake_mm.registry import MODELS

from .cells import CONFIGS, TABLES, cell_path, shortened, train_resume_export

PAIR = 'resnet14_resnet8'
FAST = ('ofd', 'ctkd', 'kd-eskd')
"""What a run of each goes through, another stage, parameters of a loss, connectors on both sides, is in these."""


@pytest.fixture
def build(make_classifier, trained):
    """A method's file on two tiny classifiers, in double precision."""

    def build(method):
        entry = make_classifier(8)
        teacher = dict(config=entry, checkpoint=trained(entry))
        config = Config.fromfile(CONFIGS / f'_base_/methods/{method}.py').method.to_dict()
        torch.manual_seed(0)
        model = MODELS.build(dict(config, student=make_classifier(6), teachers=teacher))
        model.init_weights()
        for parameter in model.student.parameters():
            parameter.data.add_(0.1 * torch.randn_like(parameter))
        model.student.head.fc.weight.data.mul_(20)
        model.double().enter_stage(0)
        model.enter_epoch(0)
        return model.train()

    return build


def outputs(model, inputs):
    """Logits, pooled features and sums of the last level before their ReLU, of both networks."""
    found = []
    for network in (model.student, model.members.frozen['teacher0'].network):
        sums = []
        handle = network.backbone.layer3.preact.register_forward_hook(lambda m, a, out, sums=sums: sums.append(out))
        pooled = network.extract_feat(inputs)[-1]
        handle.remove()
        found.append((network.head.fc(pooled), pooled, sums[0]))
    return zip(*found)


def soft(z, tau):
    return (z / tau).exp() / (z / tau).exp().sum(1, keepdim=True)


def kl(a, b, tau):
    p, q = soft(b.detach(), tau), soft(a, tau)
    return tau**2 * (p * (p / q).log()).sum() / len(a)


def standardized(z):
    """As the authors write it: by the unbiased standard deviation."""
    return (z - z.mean(dim=-1, keepdim=True)) / (1e-7 + z.std(dim=-1, keepdim=True))


def same(model, value, wanted):
    """Equal, with the gradients in the student, but for what the small terms beside a spread make of it."""
    parameters = [p for p in model.student.parameters() if p.requires_grad]
    pairs = zip(*(torch.autograd.grad(x, parameters, allow_unused=True, retain_graph=True) for x in (value, wanted)))
    torch.testing.assert_close(value, wanted, rtol=1e-6, atol=1e-9)
    for found, expected in pairs:
        assert (found is None) == (expected is None)
        if found is not None:
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6 * expected.abs().max().item() + 1e-12)


def test_logit_standardization(build, batch):
    model = build('kd_logit_std')
    inputs, samples = batch(dtype=torch.float64)
    losses = model(inputs, samples, mode='loss')
    (s, t), *_ = outputs(model, inputs)
    labels = torch.cat([sample.gt_label for sample in samples])
    same(model, losses['loss_student_from_teacher'], 9 * kl(standardized(s), standardized(t), 2.0))
    same(model, losses['student.loss'], 0.1 * F.cross_entropy(s, labels))


def test_vkd(build, batch):
    model = build('vkd')
    inputs, samples = batch(dtype=torch.float64)
    losses = model(inputs, samples, mode='loss')
    logits, (s, t), _ = outputs(model, inputs)
    skew = model.terms['vkd'].connector.generator
    off = s @ torch.linalg.matrix_exp(skew - skew.T)[:8, :6].T - F.layer_norm(t, (8,))
    same(model, losses['loss_vkd'], torch.where(off.abs() < 1, off**2 / 2, off.abs() - 0.5).mean())
    same(model, losses['loss_student_from_teacher'], kl(*logits, 1.0))


def test_ofd(build, batch):
    model = build('ofd')
    inputs, samples = batch(dtype=torch.float64)
    losses = model(inputs, samples, mode='loss')
    *_, (s, t) = outputs(model, inputs)
    term = model.terms['ofd_f3']
    m = term.to_connector.margin[:, None, None]
    assert m.shape == (8, 1, 1) and (m < 0).all()
    conv, norm = term.connector.layers
    s = F.batch_norm(F.conv2d(s, conv.weight), None, None, norm.weight, norm.bias, training=True)
    off = (s - m) ** 2 * ((s > m) & (t <= m)) + (s - t) ** 2 * ((s > t) & (t > m) & (t <= 0)) + (s - t) ** 2 * (t > 0)
    same(model, losses['loss_ofd_f3'], 1e-3 * off.sum() / len(s))
    assert [model.terms[f'ofd_f{i}'].weight for i in (1, 2, 3)] == [0.25e-3, 0.5e-3, 1e-3]


def test_dist_plus_trains_the_teachers_classifier_alone(build, batch):
    model = build('dist_plus')
    trained = [name for name, p in model.named_parameters() if p.requires_grad and not name.startswith('student.')]
    assert trained == ['peers.teacher0.head.fc.weight', 'peers.teacher0.head.fc.bias']
    losses = model(*batch(dtype=torch.float64), mode='loss')
    assert losses.keys() >= {'loss_student_from_teacher', 'loss_teacher_from_student', 'teacher0.loss'}


def test_eskd_stops(build, batch):
    model = build('kd_eskd')
    assert model.plan.members == {'student', 'teacher0'}
    model.enter_stage(1)
    losses = model(*batch(dtype=torch.float64), mode='loss')
    assert 'student.loss' in losses and not any('teacher' in key for key in losses) and not model.plan.members


def test_rco_follows_the_route():
    cfg = Config.fromfile(cell_path('rco', PAIR, 'digits100'))
    ends = [teacher.checkpoint.rpartition('_')[2] for teacher in cfg.model.teachers]
    assert ends == ['5.pth', '10.pth', '15.pth', '20.pth']
    teacher = Config.fromfile(CONFIGS / 'baseline/resnet14_digits100.py').model
    cfg.model.teachers = [MODELS.build(teacher) for _ in range(4)]
    model = MODELS.build(cfg.model)
    assert [stage.until for stage in model.stages] == [5, 10, 15, None]
    for i in range(4):
        model.enter_stage(i)
        assert model.plan.members == {'student', f'teacher{i}'}
        assert model.plan.terms == ('task', f'student_from_teacher{i}')
        assert model.terms[f'student_from_teacher{i}'].weight == 1.0


NORMS = {
    'resnet32x4': ['layer1.4.bn2', 'layer2.4.bn2', 'layer3.4.bn2'],
    'resnet50': ['layer1.2.bn3', 'layer2.3.bn3', 'layer3.5.bn3', 'layer4.2.bn3'],
    'wrn-40-2': ['block2.layer.0.bn1', 'block3.layer.0.bn1', 'bn1'],
    'vgg13': ['block1.4', 'block2.4', 'block3.4', 'block4.4'],
}
"""The benchmark's ``get_bn_before_relu``, of every teacher's family."""


@pytest.mark.parametrize('name', NORMS)
def test_the_norm_before_the_relu_is_the_benchmarks(name):
    teacher = Config.fromfile(CONFIGS / f'baseline/{name}_cifar100.py').model
    network = MODELS.build(teacher)
    model = MODELS.build(dict(type='shake_mm.Distiller', student=network, terms=dict(task=dict(of='student'))))
    norm_of = partial(norm_behind, model.members, model.taps, model.members.image_sizes(None))
    found = [norm_of(f'student.f{i + 1}.preact') for i in range(len(NORMS[name]))]
    names = {module: layer for layer, module in network.backbone.named_modules()}
    assert [names[norm] for norm in found] == NORMS[name]
    assert norm_of('student.pool') is None and norm_of('student.logits') is None


@pytest.mark.parametrize('depth', [18, 50])
def test_sums_before_the_relu_of_mmpretrains_resnets(depth):
    network = dict(
        type='mmpretrain.ImageClassifier',
        backbone=dict(type='mmpretrain.ResNet', depth=depth, base_channels=8, stem_channels=8),
        neck=dict(type='mmpretrain.GlobalAveragePooling'),
        head=dict(type='mmpretrain.LinearClsHead', num_classes=5, in_channels=64 * (4 if depth == 50 else 1)),
    )
    model = MODELS.build(dict(type='shake_mm.Distiller', student=network, terms=dict(task=dict(of='student'))))
    norm_of = partial(norm_behind, model.members, model.taps, model.members.image_sizes(64))
    for i in range(1, 5):
        block = getattr(model.student.backbone, f'layer{i}')[-1]
        assert norm_of(f'student.f{i}.preact') is (block.norm3 if depth == 50 else block.norm2)
        for end in ('', '.preact'):
            model.taps.request(f'student.f{i}{end}')
    with model.taps.recording() as taps:
        model.student(torch.randn(2, 3, 64, 64))
        for i in range(1, 5):
            sums = taps.value(f'student.f{i}.preact')
            assert torch.equal(sums.relu(), taps.value(f'student.f{i}')) and (sums < 0).any()


@pytest.mark.parametrize(
    'method', [pytest.param(name, marks=[] if name in FAST else [pytest.mark.slow]) for name in TABLES.LATER]
)
def test_a_cell_trains_resumes_and_exports(method, tmp_path):
    def configure(epochs):
        return shortened(Config.fromfile(cell_path(method, PAIR, 'digits100')), tmp_path, epochs)

    first, last, plain = train_resume_export(configure, tmp_path, (1, 2))
    assert not torch.equal(first['student.head.fc.weight'], last['student.head.fc.weight'])
    assert plain.model.type == 'ImageClassifier'
    for key in last:
        if key.startswith('terms.') and 'margin' not in key and 'num_batches' not in key:
            assert not torch.equal(first[key], last[key]), key
