"""KD (Eq. 1, and the CRD benchmark's weights) and the baseline against the formulas."""

import pytest
import torch

from shake_mm.registry import MODELS


def build(make_classifier, trained, **kwargs):
    teacher = make_classifier(8)
    teachers = [dict(config=teacher, checkpoint=trained(teacher, f'{i}.pth', seed=i + 1)) for i in range(2)]
    model = MODELS.build({'type': 'shake_mm.KD', 'student': make_classifier(6), 'teachers': teachers, **kwargs})
    model.init_weights()
    return model.double().train()


def reference(model, inputs, samples, tau):
    """Cross-entropy and the two divergences, in plain formulas."""
    student = model.student(inputs, mode='tensor')
    labels = torch.cat([s.gt_label for s in samples])
    log_p = student - student.exp().sum(1, keepdim=True).log()
    ce = -log_p[range(len(labels)), labels].mean()
    kls = []
    for member in model.members.frozen.values():
        t = member.network(inputs, mode='tensor').detach() / tau
        p = t.exp() / t.exp().sum(1, keepdim=True)
        q = (student / tau).exp() / (student / tau).exp().sum(1, keepdim=True)
        kls.append(tau**2 * (p * (p / q).log()).sum() / len(labels))
    return ce, kls


@pytest.mark.parametrize(
    'options, alpha, weights',
    [
        (dict(tau=2.0, lam=0.3), 1.0, [0.15, 0.15]),
        (dict(tau=2.0, lam=0.3, weighting='sum'), 1.0, [0.3, 0.3]),
        (dict(tau=3.0, alpha=0.1, lam=0.9), 0.1, [0.45, 0.45]),
    ],
)
def test_formula(make_classifier, trained, batch, options, alpha, weights):
    model = build(make_classifier, trained, **options)
    inputs, samples = batch(3, dtype=torch.float64)
    losses = model(inputs, samples, mode='loss')
    ce, kls = reference(model, inputs, samples, options['tau'])
    torch.testing.assert_close(losses['student.loss'], alpha * ce, rtol=1e-9, atol=1e-12)
    for i, (weight, kl) in enumerate(zip(weights, kls)):
        torch.testing.assert_close(losses[f'loss_student_from_teacher{i}'], weight * kl, rtol=1e-7, atol=1e-9)
    total = alpha * ce + sum(w * kl for w, kl in zip(weights, kls))
    want = torch.autograd.grad(total, list(model.parameters()))
    have = torch.autograd.grad(sum(losses.values()), list(model.parameters()))
    for x, y in zip(want, have):
        torch.testing.assert_close(y, x, rtol=1e-7, atol=1e-10)


def test_the_objective_is_the_sum_of_the_terms(make_classifier, trained, batch):
    model = build(make_classifier, trained)
    losses = model(*batch(3, dtype=torch.float64), mode='loss')
    total, log = model.parse_losses(losses)
    torch.testing.assert_close(total, sum(losses.values()))
    assert log['loss'] is total and set(log) == {'loss', *losses}


def test_kd_trains_the_student_alone(make_classifier, trained):
    model = build(make_classifier, trained)
    assert {name.split('.')[0] for name, _ in model.named_parameters()} == {'student'}
