"""SHAKE and KD with several teachers: every weight and gradient against an independent float64 computation."""

import itertools

import pytest
import torch
from mmengine.optim import OptimWrapper

from shake_mm.registry import MODELS

from ..support.min_norm import reference

LAM, TAU = 0.3, 2.0


def _build(make_classifier, trained, kind='SHAKE', seeds=(1, 2), **kwargs):
    teacher = make_classifier(8)
    model = MODELS.build(
        dict(
            type=f'shake_mm.{kind}',
            student=make_classifier(6),
            teachers=[dict(config=teacher, checkpoint=trained(teacher, f't{seed}.pth', seed=seed)) for seed in seeds],
            tau=TAU,
            lam=LAM,
            **kwargs,
        )
    )
    torch.manual_seed(5)
    model.init_weights()
    for parameter in model.parameters():
        parameter.data.add_(0.2 * torch.randn_like(parameter))
    return model.train()


def _softmax(x):
    e = (x - x.max(dim=1, keepdim=True).values).exp()
    return e / e.sum(dim=1, keepdim=True)


def _kl(a, b):
    """tau^2 KL(softmax(b/tau) || softmax(a/tau)), mean over the batch; b is a target."""
    p, q = _softmax(b.detach() / TAU), _softmax(a / TAU)
    return TAU**2 * (p * (p.log() - q.log())).sum() / a.shape[0]


def _cross_entropy(f_s, samples):
    labels = torch.cat([sample.gt_label for sample in samples])
    return -_softmax(f_s).log()[range(len(labels)), labels].mean()


def _weights(f_s, targets):
    """Of the divergences from `targets`, whose gradient is tau (q - p) / N."""
    rows = [(_softmax(f_s / TAU) - _softmax(target / TAU)).detach().flatten() for target in targets]
    vectors = torch.stack(rows).numpy()
    return reference(vectors @ vectors.T, max(0.6, 1 / len(targets)))


def _logits(model, inputs):
    feats = model.student.extract_feat(inputs)
    with torch.no_grad():
        f_t = [member.network(inputs, mode='tensor') for member in model.members.frozen.values()]
    return model.student.head(feats), [proxy.head(feats) for proxy in model.proxies.values()], f_t


def _same_gradients(model, got, expected):
    parameters = dict(model.named_parameters())
    for total in (got, expected):
        assert total.shape == ()
    want = torch.autograd.grad(expected, list(parameters.values()))
    have = torch.autograd.grad(got, list(parameters.values()))
    for name, x, y in zip(parameters, want, have):
        torch.testing.assert_close(y, x, rtol=1e-5, atol=1e-7, msg=lambda text, name=name: f'{name}: {text}')


@pytest.mark.parametrize('batch_size', [1, 4])
def test_shake_equals_the_formula(make_classifier, trained, batch, batch_size):
    model = _build(make_classifier, trained, weighting='aekd').double()
    inputs, samples = batch(batch_size, dtype=torch.float64)
    losses = model(inputs, samples, mode='loss')
    f_s, f_p, f_t = _logits(model, inputs)
    w = _weights(f_s, f_p)
    assert abs(w[0] - 0.5) > 1e-3
    for i in range(2):
        assert float(losses[f'weight_student_from_proxy{i}']) == pytest.approx(w[i], abs=1e-5)
        assert float(losses[f'loss_proxy_from_teacher{i}']) == pytest.approx(float(_kl(f_p[i], f_t[i])))
    expected = _cross_entropy(f_s, samples)
    for i in range(2):
        expected = expected + LAM * w[i] * _kl(f_s, f_p[i]) + _kl(f_p[i], f_t[i]) + LAM * _kl(f_p[i], f_s)
    total, logged = model.parse_losses(losses)
    assert float(total) == pytest.approx(float(expected), rel=1e-5)
    assert logged['weight_student_from_proxy0'] == losses['weight_student_from_proxy0']
    _same_gradients(model, total, expected)

    # the weighted term still reaches the student alone
    own = torch.autograd.grad(losses['loss_student_from_proxy0'], list(model.proxies.parameters()), allow_unused=True)
    assert all(gradient is None for gradient in own)


@pytest.mark.parametrize('kind, term', [('KD', 'student_from_teacher'), ('DML', 'student_from_teacher')])
def test_three_teachers_without_proxies(make_classifier, trained, batch, kind, term):
    terms = dict(teacher_task=None, teacher_from_student=None) if kind == 'DML' else None
    model = _build(make_classifier, trained, kind, seeds=(1, 2, 3), weighting='aekd', terms=terms).double()
    inputs, samples = batch(6, dtype=torch.float64)
    losses = model(inputs, samples, mode='loss')
    f_s, _, f_t = _logits(model, inputs)
    f_t = f_t or [peer(inputs, mode='tensor') for peer in model.peers.values()]
    w = _weights(f_s, f_t)
    assert [float(losses[f'weight_{term}{i}']) for i in range(3)] == pytest.approx(w, abs=1e-5)
    if kind == 'KD':
        expected = _cross_entropy(f_s, samples) + LAM * sum(w[i] * _kl(f_s, f_t[i]) for i in range(3))
        _same_gradients(model, model.parse_losses(losses)[0], expected)


@pytest.mark.parametrize('weighting', ['mean', 'aekd'])
def test_identical_teachers(make_classifier, trained, batch, weighting):
    """The student's gradient is that of one; the heads' add up in the backbone."""
    one = _build(make_classifier, trained, seeds=(1,)).double()
    two = _build(make_classifier, trained, seeds=(1, 1), weighting=weighting).double()
    for proxy in two.proxies.values():
        proxy.load_state_dict(one.proxies['proxy0'].state_dict())
    two.student.load_state_dict(one.student.state_dict())
    x = batch(dtype=torch.float64)
    single, double = one(*x, mode='loss'), two(*x, mode='loss')
    if weighting == 'aekd':
        assert [float(double[f'weight_student_from_proxy{i}']) for i in range(2)] == pytest.approx([0.5, 0.5], abs=1e-6)

    def gradients(model, losses, keys):
        total = sum(losses[key] for key in losses if key.rstrip('01') in keys)
        found = torch.autograd.grad(total, list(model.student.parameters()), retain_graph=True)
        heads = [p for name in model.proxies for p in model.proxies[name].parameters()]
        return found, torch.autograd.grad(total, heads, retain_graph=True, allow_unused=True)

    student, proxy = ('student.loss', 'loss_student_from_proxy'), ('loss_proxy_from_teacher', 'loss_proxy_from_student')
    for x, y in zip(gradients(one, single, student)[0], gradients(two, double, student)[0]):
        torch.testing.assert_close(y, x, rtol=1e-6, atol=1e-9)
    one_total = sum(single.values())
    two_total = sum(value for key, value in double.items() if 'loss' in key)
    torch.testing.assert_close(two_total - one_total, sum(single[key] for key in proxy), rtol=1e-6, atol=1e-9)
    backbone = list(one.student.backbone.parameters())
    more = torch.autograd.grad(two_total, list(two.student.backbone.parameters()), retain_graph=True)
    once = torch.autograd.grad(one_total, backbone, retain_graph=True)
    again = torch.autograd.grad(sum(single[key] for key in proxy), backbone)
    for total, x, y in zip(more, once, again):
        torch.testing.assert_close(total, x + y, rtol=1e-6, atol=1e-9)


def test_one_teacher_is_single_teacher_shake_bit_for_bit(make_classifier, trained, batch):
    """Whatever the weighting, and whether the teacher and its proxy stand in a list."""
    results = []
    for weighting, proxies in [(None, None), *itertools.product(('mean', 'sum', 'aekd'), ([dict(type='ShadowHead')],))]:
        options = {} if weighting is None else dict(weighting=weighting, proxies=proxies)
        model = _build(make_classifier, trained, seeds=(1,), **options)
        optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9))
        inputs, samples = batch(6)
        for _ in range(3):
            logged = model.train_step({'inputs': list(inputs), 'data_samples': samples}, optimizer)
        results.append((logged, model.state_dict()))
    (logged, state), *others = results
    for other_logged, other_state in others:
        assert other_logged.keys() == logged.keys() and other_state.keys() == state.keys()
        assert all(torch.equal(other_logged[key], logged[key]) for key in logged)
        assert all(torch.equal(other_state[key], state[key]) for key in state)


def test_a_stage_with_one_of_the_terms_weighs_nothing(make_classifier, trained, batch):
    stages = [dict(until=1, terms=['task', 'student_from_proxy0']), dict()]
    model = _build(make_classifier, trained, weighting='aekd', stages=stages).double()
    inputs, samples = batch(dtype=torch.float64)
    model.enter_stage(0)
    losses = model(inputs, samples, mode='loss')
    assert list(losses) == ['student.loss', 'loss_student_from_proxy0']
    f_s, f_p, _ = _logits(model, inputs)
    assert float(losses['loss_student_from_proxy0']) == pytest.approx(LAM * float(_kl(f_s, f_p[0])))
    model.enter_stage(1)
    assert 'weight_student_from_proxy1' in model(inputs, samples, mode='loss')


def test_mixed_precision(make_classifier, trained, batch):
    model = _build(make_classifier, trained, weighting='aekd')
    x = batch(8)
    plain = model(*x, mode='loss')
    with torch.autocast('cpu', dtype=torch.bfloat16):
        mixed = model(*x, mode='loss')
    for key, value in mixed.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, plain[key], rtol=0.1, atol=0.05)
    model.parse_losses(mixed)[0].backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_teachers_of_other_architectures_and_preprocessors(make_classifier, trained, batch):
    """Each teacher sees the raw images through its own mean, standard deviation and order of channels."""
    mean, std = [120.0, 110.0, 100.0], [60.0, 50.0, 70.0]
    vgg = dict(
        type='ImageClassifier',
        _scope_='mmpretrain',
        backbone=dict(type='shake_mm.CRDVGG', depth=8, widths=(4, 4, 6, 6, 9)),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=5, in_channels=9),
        data_preprocessor=dict(type='ClsDataPreprocessor', num_classes=5, mean=[90.0] * 3, std=[30.0, 40.0, 50.0]),
    )
    teachers = [make_classifier(8, mean=mean, std=std, to_rgb=True), vgg]
    model = MODELS.build(
        dict(
            type='shake_mm.SHAKE',
            student=make_classifier(6, mean=[127.5] * 3, std=[127.5] * 3),
            teachers=[dict(config=c, checkpoint=trained(c, f'{i}.pth', seed=i)) for i, c in enumerate(teachers)],
            tau=TAU,
            weighting='aekd',
        )
    )
    model.init_weights()
    model.train()
    _, samples = batch(6)
    raw = torch.randint(0, 256, (6, 3, 16, 16)).float()
    data = model.data_preprocessor({'inputs': list(raw), 'data_samples': samples}, True)
    losses = model(**data, mode='loss')
    views = [
        (raw.flip(1) - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None],
        (raw - 90) / torch.tensor([30.0, 40.0, 50.0])[:, None, None],
    ]
    feats = model.student.extract_feat((raw - 127.5) / 127.5)
    for i, (member, view) in enumerate(zip(model.members.frozen.values(), views)):
        with torch.no_grad():
            target = member.network(view, mode='tensor')
        expected = _kl(model.proxies[f'proxy{i}'].head(feats), target)
        torch.testing.assert_close(losses[f'loss_proxy_from_teacher{i}'], expected, rtol=1e-3, atol=1e-4)
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01))
    logged = [model.train_step({'inputs': list(raw), 'data_samples': samples}, optimizer) for _ in range(3)]
    assert float(logged[-1]['loss']) < float(logged[0]['loss'])
