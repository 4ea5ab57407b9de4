"""What the configs of SHAKE's forms change, term by term against the formulas in float64, with two teachers."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from shake_mm.registry import MODELS

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'shake'
LAM, TAU = 0.3, 2.0
STUDENT, PROXY = {'student.backbone', 'student.head'}, {'student.backbone', 'proxies'}


def soft(x, tau):
    return (x / tau).exp() / (x / tau).exp().sum(dim=1, keepdim=True)


def kl(a, b, tau=TAU):
    p = soft(b.detach(), tau)
    return tau**2 * (p * (p.log() - soft(a, tau).log())).sum() / len(a)


def ce(a, labels):
    return -soft(a, 1).log()[range(len(a)), labels].mean()


def soft_ce(a, b):
    return -(soft(b.detach(), 1) * soft(a, 1).log()).sum() / len(a)


def l2(a, b):
    return ((a - b.detach()) ** 2).mean()


MIMIC = {
    'shake-ce': ('proxy_from_teacher', soft_ce),
    'shake-l2': ('proxy_from_teacher', l2),
    'shake-gt': ('proxy_task', None),
    'shake-ce-gt': ('proxy_from_teacher', soft_ce),
    'shake-l2-gt': ('proxy_from_teacher', l2),
    'shake-wo-reversed': ('', None),
    'shake-wo-teacher': ('proxy_task', None),
    'shake-t2s': ('student_from_teacher', None),
}


def expected_terms(method, f_s, f_p, f_t, labels):
    """By log name: value, and which parts it reaches."""
    terms = {'student.loss': (ce(f_s, labels), STUDENT)}
    mimic = MIMIC[method][1] or kl
    for i in range(2):
        terms[f'loss_student_from_proxy{i}'] = LAM * kl(f_s, f_p[i]) / 2, STUDENT
        if method != 'shake-wo-teacher':
            terms[f'loss_proxy_from_teacher{i}'] = mimic(f_p[i], f_t[i]), PROXY
        if method != 'shake-wo-reversed':
            terms[f'loss_proxy_from_student{i}'] = LAM * kl(f_p[i], f_s), PROXY
        if method.endswith('-gt') or method == 'shake-wo-teacher':
            terms[f'loss_proxy_task{i}'] = ce(f_p[i], labels), PROXY
        if method == 'shake-t2s':
            terms[f'loss_student_from_teacher{i}'] = kl(f_s, f_t[i], 4.0) / 2, STUDENT
    return terms


@pytest.mark.parametrize('method', MIMIC)
def test_terms_of_the_config(method, make_classifier, trained, batch):
    changes = Config.fromfile(CONFIGS / f'{method}_resnet14_resnet8_digits100.py').model.terms.to_dict()
    teacher = make_classifier(8)
    model = MODELS.build(
        dict(
            type='shake_mm.SHAKE',
            student=make_classifier(6),
            teachers=[dict(config=teacher, checkpoint=trained(teacher, f't{i}.pth', seed=i + 1)) for i in range(2)],
            tau=TAU,
            lam=LAM,
            terms=changes,
        )
    )
    model.init_weights()
    for parameter in model.parameters():
        parameter.data.add_(0.2 * torch.randn_like(parameter))
    model = model.double().train()
    inputs, samples = batch(dtype=torch.float64)
    got = model(inputs, samples, mode='loss')
    feats = model.student.extract_feat(inputs)
    f_s, f_p = model.student.head(feats), [proxy.head(feats) for proxy in model.proxies.values()]
    f_t = [member.network(inputs, mode='tensor').detach() for member in model.members.frozen.values()]
    expected = expected_terms(method, f_s, f_p, f_t, torch.cat([sample.gt_label for sample in samples]))
    assert got.keys() == expected.keys()
    named = dict(model.named_parameters())
    for key, (value, reached) in expected.items():
        torch.testing.assert_close(got[key], value, rtol=1e-9, atol=0)
        have, want = (
            torch.autograd.grad(x, list(named.values()), retain_graph=True, allow_unused=True)
            for x in (got[key], value)
        )
        parts = {
            'proxies' if n.startswith('proxies') else '.'.join(n.split('.')[:2])
            for n, g in zip(named, have)
            if g is not None
        }
        assert parts == reached, key
        for x, y in zip(have, want):
            assert (x is None) == (y is None)
            if x is not None:
                torch.testing.assert_close(x, y, rtol=1e-8, atol=1e-11)
