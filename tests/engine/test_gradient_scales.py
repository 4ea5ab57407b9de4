"""Gradients at a layer that are scaled: of what lies before it, whoever reads it, and of nothing else."""

import copy

import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.registry import MODELS


def branched(make_classifier, scales=None):
    branch = dict(of='proxy0.logits', loss=dict(type='mmpretrain.CrossEntropyLoss'))
    return MODELS.build(
        dict(
            type='shake_mm.Distiller',
            student=make_classifier(6),
            proxies=[dict(type='ShadowBranch')],
            terms=dict(task=dict(of='student'), branch=branch),
            gradient_scales=scales,
        )
    ).double()


def gradients(model, data):
    model.train().zero_grad()
    model.parse_losses(model(*copy.deepcopy(data), mode='loss'))[0].backward()
    return {name: p.grad for name, p in model.named_parameters()}


def test_what_lies_before_gets_a_share_of_all_gradients(make_classifier, batch):
    plain, scaled = branched(make_classifier), branched(make_classifier, {'student.fl': 0.25})
    scaled.load_state_dict(plain.state_dict())
    data = batch(dtype=torch.float64)
    found, wanted = gradients(scaled, data), gradients(plain, data)
    behind = ('student.backbone.layer3', 'student.head', 'proxies')
    for name, gradient in wanted.items():
        assert gradient.abs().max() > 0
        torch.testing.assert_close(found[name], gradient * (1 if name.startswith(behind) else 0.25))
    copied = gradients(copy.deepcopy(scaled), data)
    assert all(torch.equal(copied[name], gradient) for name, gradient in found.items())


@pytest.mark.parametrize(
    ('scales', 'words'),
    [
        ({'student.nowhere': 0.5}, 'names no layer of student'),
        ({'proxy0.logits': 0.5}, 'no output of a network that learns'),
        ({'student.fl': -1.0}, 'gradient_scales.student.fl is -1'),
        (0.5, 'gradient_scales is 0.5, but it must be a dict'),
    ],
)
def test_refused(make_classifier, scales, words):
    with pytest.raises(UsageError, match=words):
        branched(make_classifier, scales)
