"""The proxy on the teacher's features, and the loss set of the authors' release."""

import pytest
import torch
from mmengine.config import Config
from torch.nn import functional as F

from shake_mm.engine import MemberPredictor
from shake_mm.errors import UsageError
from shake_mm.proxies import TeacherFusion
from shake_mm.registry import MODELS

from ..support.runs import train

RELEASE = Config.fromfile('configs/_base_/methods/shake_release.py').terms


def build(make_classifier, trained, terms=None, teachers=1, type_='shake_mm.Distiller', **kwargs):
    teacher = make_classifier(8)
    teacher['backbone']['widths'] = (4, 6, 7, 8)
    model = MODELS.build(
        dict(
            type=type_,
            student=make_classifier(6),
            teachers=[dict(config=teacher, checkpoint=trained(teacher, f'{i}.pth', i + 1)) for i in range(teachers)],
            proxies=dict(type='TeacherFusion'),
            terms=terms or RELEASE.to_dict(),
            **kwargs,
        )
    )
    model.init_weights()
    for parameter in model.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return model.double().train()


def fused(proxy, teacher, inputs):
    """The fusion written out; BatchNorm by its batch."""

    def block(layers, x, stride=1):
        x = F.conv2d(x, layers[0].weight, stride=stride, padding=layers[0].weight.shape[-1] // 2)
        return F.relu(F.batch_norm(x, None, None, layers[1].weight, layers[1].bias, training=True))

    maps = []
    with torch.no_grad():
        x = teacher.backbone.relu(teacher.backbone.bn1(teacher.backbone.conv1(inputs)))
        for name in ('layer1', 'layer2', 'layer3'):
            x = getattr(teacher.backbone, name)(x)
            maps.append(x)
    assert [m.shape[1:] for m in maps] == [(6, 8, 8), (7, 4, 4), (8, 2, 2)]
    x = maps[0]
    for i, stage in enumerate(maps[1:]):
        x = block(proxy.down[i], x, 2) + block(proxy.lateral[i], stage)
    pooled = block(proxy.out, x).mean(dim=(2, 3))
    return pooled @ teacher.head.fc.weight.T + teacher.head.fc.bias


def normal(z):
    mean = z.mean(dim=1, keepdim=True)
    return 3.1415 * (z - mean) / ((z - mean).pow(2).mean(dim=1, keepdim=True) + 1e-7).sqrt()


def test_the_release_term_by_term(make_classifier, trained, batch):
    model = build(make_classifier, trained)
    inputs, samples = batch(dtype=torch.float64)
    got = model(inputs, samples, mode='loss')
    teacher = model.members.frozen['teacher0'].network
    proxy = model.proxies['proxy0']
    s, p = normal(model.student(inputs)), normal(fused(proxy, teacher, inputs))
    t = normal(teacher(inputs)).detach()
    labels = torch.cat([sample.gt_label for sample in samples])

    def ce(z):
        return -z.softmax(dim=1).log()[range(len(z)), labels].mean()

    def kl(a, b):
        q = (b.detach() / 4).softmax(dim=1)
        return 16 * (q * (q.log() - (a / 4).softmax(dim=1).log())).sum() / len(a)

    expected = {
        'loss_task': ce(s),
        'loss_proxy_task': ce(p),
        'loss_student_from_proxy': kl(s, p),
        'loss_proxy_from_student': kl(p, s),
        'loss_proxy_from_teacher': (p - t).pow(2).mean(),
    }
    assert got.keys() == expected.keys()
    parameters = dict(model.named_parameters())
    for key, value in expected.items():
        torch.testing.assert_close(got[key], value, rtol=1e-8, atol=0)
        have, want = (
            torch.autograd.grad(x, list(parameters.values()), retain_graph=True, allow_unused=True)
            for x in (got[key], value)
        )
        side = 'student.' if key in ('loss_task', 'loss_student_from_proxy') else 'proxies.'
        for name, x, y in zip(parameters, have, want):
            assert (x is not None) == (y is not None) == name.startswith(side), (key, name)
            if x is not None:
                torch.testing.assert_close(x, y, rtol=1e-7, atol=1e-9)
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_each_fusion_has_its_own_teacher(make_classifier, trained, batch):
    model = build(make_classifier, trained, terms={}, teachers=2, type_='shake_mm.SHAKE')
    inputs, samples = batch(dtype=torch.float64)
    with model.taps.recording() as taps:
        for name in ('teacher0', 'teacher1'):
            model.members.frozen[name](inputs)
        for entry in model.objective.derived.values():
            entry.compute(taps)
        got = [taps.value(f'proxy{i}.logits') for i in range(2)]
    for i in range(2):
        expected = fused(model.proxies[f'proxy{i}'], model.members.frozen[f'teacher{i}'].network, inputs)
        torch.testing.assert_close(got[i], expected, rtol=1e-9, atol=1e-12)
    assert not torch.allclose(got[0], got[1])


def test_it_is_evaluated_anew_in_every_epoch(make_classifier, trained, tmp_path):
    """The teacher's logits are kept for later epochs, its features are not."""
    teacher = make_classifier(8, classes=100)
    model = dict(
        type='shake_mm.Distiller',
        student=make_classifier(6, classes=100),
        teachers=dict(config=teacher, checkpoint=trained(teacher)),
        proxies=dict(type='TeacherFusion'),
        terms=RELEASE.to_dict(),
    )
    runner = train(model, tmp_path, epochs=2)
    state = torch.load(tmp_path / 'epoch_2.pth', weights_only=True)['state_dict']
    assert {key.split('.')[0] for key in state} == {'student', 'proxies'}
    assert not any('teacher' in key for key in state)
    gaps = runner.message_hub.get_scalar('val/gap/proxy').data[0]
    assert len(gaps) == 2 and gaps[0] != gaps[1] and all(g == g for g in gaps)


def test_it_begins_as_the_release_does(make_classifier, trained):
    """Convolutions normal with variance 2 / (k * k * channels out), batch norms of 1 and 0."""
    torch.manual_seed(0)
    proxy = TeacherFusion(lambda x: x, [(64, 8, 8), (128, 4, 4), (256, 2, 2)])
    proxy.init_weights()
    layers = [layer for layer in proxy.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert len(layers) == 5
    for layer in layers:
        spread = (2 / (layer.kernel_size[0] ** 2 * layer.out_channels)) ** 0.5
        assert layer.weight.std().item() == pytest.approx(spread, rel=0.03)
    norms = [layer for layer in proxy.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    assert all((layer.weight == 1).all() and (layer.bias == 0).all() for layer in norms)


@pytest.mark.parametrize('name', ['vgg13_vgg8', 'wrn-40-2_wrn-16-2', 'resnet110_resnet20'])
def test_three_levels_as_in_the_release(name):
    model = Config.fromfile(f'configs/shake/shake-fusion_{name}_cifar100.py').model
    model.teachers = [MODELS.build(Config.fromfile(f'configs/baseline/{name.split("_")[0]}_cifar100.py').model)]
    model = MODELS.build(model)
    assert model.objective.derived['proxy0.logits'].source == ['teacher0.f1', 'teacher0.f2', 'teacher0.f3']
    assert len(model.proxies['proxy0'].down) == 2


def test_speaks_for_the_student(make_classifier, trained, batch):
    model = build(make_classifier, trained).eval()
    inputs, samples = batch(dtype=torch.float64)
    said = MemberPredictor(model, 'proxy0').evaluate(inputs, samples)
    with model.taps.recording() as taps:
        model.members.frozen['teacher0'](inputs)
        model.objective.derived['proxy0.logits'].compute(taps)
        logits = taps.value('proxy0.logits')
    for sample, row in zip(said, logits):
        torch.testing.assert_close(sample.pred_score, row.softmax(dim=0), rtol=1e-6, atol=1e-8)


def test_one_stage_is_no_fusion(make_classifier, trained):
    teacher = make_classifier(8)
    with pytest.raises(UsageError, match='must name two levels'):
        MODELS.build(
            dict(
                type='shake_mm.SHAKE',
                student=make_classifier(6),
                teachers=dict(config=teacher, checkpoint=trained(teacher)),
                proxies=dict(type='TeacherFusion', source=['teacher*.f3']),
            )
        )
    with pytest.raises(UsageError, match='proxy0: TeacherFusion needs `classifier`'):
        MODELS.build(
            dict(
                type='shake_mm.Distiller',
                student=make_classifier(6),
                proxies=[dict(type='TeacherFusion', source=['student.f*'])],
                terms=dict(task=dict(of='student')),
            )
        )
