"""SHAKE term by term against an independent float64 computation."""

import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.registry import MODELS

from ..support.stacks import needs_mmrazor

LAM, TAU = 0.3, 2.0


def _softmax(x):
    e = (x - x.max(dim=1, keepdim=True).values).exp()
    return e / e.sum(dim=1, keepdim=True)


def _kl(a, b, tau):
    """tau^2 KL(softmax(b/tau) || softmax(a/tau)), mean over the batch, written out; b is a target."""
    p, q = _softmax(b.detach() / tau), _softmax(a / tau)
    return tau**2 * (p * (p.log() - q.log())).sum() / a.shape[0]


def _build(make_classifier, trained, teachers=2, **kwargs):
    teacher = make_classifier(8)
    config = dict(
        type='shake_mm.SHAKE',
        student=make_classifier(6),
        teachers=[dict(config=teacher, checkpoint=trained(teacher, f't{i}.pth', seed=i + 1)) for i in range(teachers)],
        tau=TAU,
        lam=LAM,
        **kwargs,
    )
    model = MODELS.build(config)
    torch.manual_seed(5)
    model.init_weights()
    for parameter in model.parameters():
        parameter.data.add_(0.2 * torch.randn_like(parameter))
    return model.double().train()


def _captured(model, inputs):
    """The three kinds of logits, computed without the engine."""
    student = model.student
    feats = student.extract_feat(inputs)
    f_s = student.head(feats)
    f_p = [proxy.head(feats) for proxy in model.proxies.values()]
    with torch.no_grad():
        f_t = [member.network(inputs, mode='tensor') for member in model.members.frozen.values()]
    return f_s, f_p, f_t


@pytest.mark.parametrize('batch_size', [1, 4])
@pytest.mark.parametrize('weighting', ['mean', 'sum'])
def test_every_term_equals_the_formula(make_classifier, trained, batch, batch_size, weighting):
    model = _build(make_classifier, trained, weighting=weighting)
    inputs, samples = batch(batch_size, dtype=torch.float64)
    got = model(inputs, samples, mode='loss')
    f_s, f_p, f_t = _captured(model, inputs)
    labels = torch.cat([s.gt_label for s in samples])
    expected = {'student.loss': -_softmax(f_s).log()[range(batch_size), labels].mean()}
    w = 0.5 if weighting == 'mean' else 1.0
    for i in range(2):
        expected[f'loss_student_from_proxy{i}'] = LAM * w * _kl(f_s, f_p[i], TAU)
        expected[f'loss_proxy_from_teacher{i}'] = _kl(f_p[i], f_t[i], TAU)
        expected[f'loss_proxy_from_student{i}'] = LAM * _kl(f_p[i], f_s, TAU)
    assert got.keys() == expected.keys()
    for key, value in expected.items():
        assert abs(float(got[key]) - float(value)) < 1e-6 * max(1, abs(float(value))), key
    # The two teachers differ, so a term that met the wrong one would show.
    assert abs(float(expected['loss_proxy_from_teacher0'] - expected['loss_proxy_from_teacher1'])) > 1e-3

    # Gradients, term by term, of every trained parameter.
    parameters = dict(model.named_parameters())
    for key, value in expected.items():
        want = torch.autograd.grad(value, list(parameters.values()), retain_graph=True, allow_unused=True)
        have = torch.autograd.grad(got[key], list(parameters.values()), retain_graph=True, allow_unused=True)
        for name, x, y in zip(parameters, want, have):
            assert (x is None) == (y is None), (key, name)
            if x is not None:
                torch.testing.assert_close(y, x, rtol=1e-9, atol=1e-12)


def test_who_gets_which_gradient(make_classifier, trained, batch):
    model = _build(make_classifier, trained)
    losses = model(*batch(dtype=torch.float64), mode='loss')
    reach = {}
    for key, value in losses.items():
        grads = torch.autograd.grad(value, list(model.parameters()), retain_graph=True, allow_unused=True)
        names = [n for (n, _), g in zip(model.named_parameters(), grads) if g is not None and g.abs().sum() > 0]
        reach[key] = {'.'.join(n.split('.')[:2]) for n in names}
    backbone, head, shadow = 'student.backbone', 'student.head', 'proxies.proxy'
    assert reach['student.loss'] == {backbone, head}
    for i in range(2):
        assert reach[f'loss_student_from_proxy{i}'] == {backbone, head}
        assert reach[f'loss_proxy_from_teacher{i}'] == {backbone, f'{shadow}{i}'}
        assert reach[f'loss_proxy_from_student{i}'] == {backbone, f'{shadow}{i}'}
    for member in model.members.frozen.values():
        assert all(p.grad is None and not p.requires_grad for p in member.parameters())


def test_defaults_are_the_papers(make_classifier, trained):
    teacher = make_classifier(8)
    model = MODELS.build(
        dict(
            type='shake_mm.SHAKE',
            student=make_classifier(6),
            teachers=dict(config=teacher, checkpoint=trained(teacher)),
        )
    )
    assert list(model.terms) == ['task', 'student_from_proxy', 'proxy_from_teacher', 'proxy_from_student']
    assert {term.weight for term in model.terms.values()} == {1.0}
    assert {term.loss.tau for term in model.terms.values() if term.loss is not None} == {4.0}


def test_one_teacher_weights_do_not_matter(make_classifier, trained, batch):
    a = _build(make_classifier, trained, teachers=1, weighting='mean')
    b = _build(make_classifier, trained, teachers=1, weighting='sum')
    x = batch(dtype=torch.float64)
    la, lb = a(*x, mode='loss'), b(*x, mode='loss')
    assert la.keys() == lb.keys() and all(torch.equal(la[k], lb[k]) for k in la)


@needs_mmrazor
def test_config_drops_and_adds_terms(make_classifier, trained, batch):
    model = _build(
        make_classifier,
        trained,
        teachers=1,
        terms=dict(
            proxy_from_student=None,
            student_from_proxy=dict(weight=2.0),
            direct=dict(of='student.logits', to='teacher0.logits', loss=dict(type='mmrazor.L2Loss'), weight=0.5),
        ),
    )
    losses = model(*batch(dtype=torch.float64), mode='loss')
    assert list(losses) == ['student.loss', 'loss_student_from_proxy', 'loss_proxy_from_teacher', 'loss_direct']
    assert model.terms['student_from_proxy'].weight == 2.0


@pytest.mark.parametrize(
    'key, value, words', [('tau', 0, 'temperature'), ('tau', -1, 'temperature'), ('lam', -0.1, 'weight')]
)
def test_bad_numbers_are_refused_at_build(make_classifier, trained, key, value, words):
    teacher = make_classifier(8)
    config = dict(
        type='shake_mm.SHAKE',
        student=make_classifier(6),
        teachers=dict(config=teacher, checkpoint=trained(teacher)),
        **{key: value},
    )
    with pytest.raises(UsageError, match=words):
        MODELS.build(config)


def test_another_divergence_takes_the_place_of_every_kl(make_classifier, trained, batch):
    model = _build(make_classifier, trained, teachers=1, divergence=dict(type='AlphaDivLoss', alpha_max=2.0))
    compared = [term.loss for term in model.terms.values() if term.loss is not None]
    assert len(compared) == 3
    assert all(type(loss).__name__ == 'AlphaDivLoss' and (loss.tau, loss.alpha_max) == (TAU, 2.0) for loss in compared)
    inputs, samples = batch(dtype=torch.float64)
    losses = model(inputs, samples, mode='loss')
    assert all(torch.isfinite(value) for value in losses.values())
