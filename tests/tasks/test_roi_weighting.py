"""Distilled boxes that count by the teacher's confidence, and shadows that leave the trunk alone."""

import numpy as np
import pytest
import torch

from ..support.detectors import scenes
from .test_detection import distiller, step


def rows(logits):
    return logits.detach().double().numpy()


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


@pytest.mark.parametrize('threshold', [0.0, 0.99])
def test_boxes_count_by_confidence(threshold):
    """sum w D / max(sum w, 1) of w, the squared probability that there is something; small ones count 0."""
    tau, lam = 2.0, 0.3
    loss = dict(weighting='confidence', threshold=threshold, tau=tau)
    model = distiller('KD', 'faster_rcnn', lam=lam, terms=dict(student_from_teacher=dict(loss=loss)))
    losses, seen = step(model)
    student, teacher = rows(seen['student']), rows(seen['teacher0'])
    p, q = softmax(student / tau), softmax(teacher / tau)
    divergence = tau**2 * (q * np.log(q / p)).sum(1)
    weight = (1 - softmax(teacher)[:, -1]) ** 2
    weight[weight < threshold] = 0
    assert (weight > 0).any() and (weight == 0).any() == (threshold > 0)
    expected = lam * (weight * divergence).sum() / max(weight.sum(), 1)
    assert losses['loss_student_from_teacher'].item() == pytest.approx(expected, rel=1e-4)


def test_in_the_papers_setting_it_is_the_mean_over_boxes():
    model = distiller('KD', 'faster_rcnn', setting='paper', tau=2.0)
    losses, seen = step(model)
    p, q = softmax(rows(seen['student']) / 2), softmax(rows(seen['teacher0']) / 2)
    expected = 4 * (q * np.log(q / p)).sum() / len(q)
    assert losses['loss_student_from_teacher'].item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize('kind', ['retinanet', 'faster_rcnn'])
@pytest.mark.parametrize('detach', [False, True])
def test_a_detached_shadow_learns_by_itself(kind, detach):
    proxies = dict(type='ShadowHead', detach=detach)
    model = distiller('SHAKE', kind, proxies=proxies)
    data = model.data_preprocessor(scenes(), True)
    losses = model(**data, mode='loss')
    trunk = [p for p in model.student.backbone.parameters() if p.requires_grad]
    own = [p for p in model.proxies.parameters() if p.requires_grad]
    for name in ('loss_proxy_from_teacher', 'loss_proxy_from_student'):
        found = torch.autograd.grad(losses[name], trunk, retain_graph=True, allow_unused=True)
        assert all(gradient is None for gradient in found) is detach
        assert any(
            g is not None and g.abs().sum() > 0 for g in torch.autograd.grad(losses[name], own, retain_graph=True)
        )
    found = torch.autograd.grad(losses['loss_student_from_proxy'], trunk, allow_unused=True)
    assert any(gradient is not None for gradient in found)
