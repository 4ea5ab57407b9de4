"""Logits at the priors assigned to objects, prior by prior in float64: a softmax's classes, a centerness."""

import math

import pytest
import torch

from shake_mm.losses import Places, PositivePriorLoss

ANCHORS, CLASSES, SIZES = 2, 3, [(2, 3), (1, 1), (1, 2)]


def draw(seed, channels=CLASSES):
    generator = torch.Generator().manual_seed(seed)
    return [2 * torch.randn(2, ANCHORS * channels, *size, generator=generator, dtype=torch.float64) for size in SIZES]


def places():
    """No positive on the last level; of a positive one of the second the classes do not count."""
    positive = [torch.zeros(2, ANCHORS * h * w).bool() for h, w in SIZES]
    positive[0][0, [1, 6, 11]] = positive[0][1, 4] = positive[1][0, 0] = positive[1][1, 1] = True
    weight = [torch.ones(level.shape) for level in positive]
    weight[1][1, 1], weight[0][0, 6] = 0.0, 0.5
    return Places(positive, weight, torch.tensor(7.0))


def of_prior(a, b, activation, tau):
    if activation == 'sigmoid':
        p, q = [1 / (1 + math.exp(-x / tau)) for x in a], [1 / (1 + math.exp(-x / tau)) for x in b]
        return -(tau**2) * sum(t * math.log(s) + (1 - t) * math.log(1 - s) for s, t in zip(p, q))
    mine, its = ([math.exp(x / tau) for x in side] for side in (a, b))
    p, q = [x / sum(mine) for x in mine], [x / sum(its) for x in its]
    return tau**2 * sum(t * math.log(t / s) for s, t in zip(p, q)) / len(a)


def by_hand(logits, target, activation, tau, normalize, channels=CLASSES):
    total, found = 0.0, places()
    for a, b, positive, weight in zip(logits, target, found.positive, found.weight):
        width = a.shape[3]
        of_level = 0.0
        for n, p in positive.nonzero().tolist():
            place, anchor = divmod(p, ANCHORS)
            rows = [
                level[n, channels * anchor : channels * (anchor + 1), place // width, place % width].tolist()
                for level in (a, b)
            ]
            of_level += weight[n, p].item() * of_prior(*rows, activation, tau)
        total += of_level / (max(positive.sum().item(), 1) if normalize == 'levels' else found.number.item())
    return total


@pytest.mark.parametrize('normalize', ['positives', 'levels'])
@pytest.mark.parametrize(
    ('activation', 'tau'), [('softmax', 2.0), ('softmax', 1.0), ('sigmoid', 1.0), ('sigmoid', 3.0)]
)
def test_formula(activation, tau, normalize):
    channels = 1 if activation == 'sigmoid' else CLASSES
    logits, target = [x.requires_grad_() for x in draw(0, channels)], draw(1, channels)
    loss = PositivePriorLoss(activation, tau, normalize, loss_weight=0.6)
    wanted = 0.6 * by_hand(logits, target, activation, tau, normalize, channels)
    assert loss(logits, target, places()).item() == pytest.approx(wanted, rel=1e-9) and wanted > 0
    slopes = torch.autograd.grad(loss(logits, target, places()), logits)
    for level, slope in enumerate(slopes):
        for index in slope.nonzero().tolist()[:3]:
            values = []
            for step in (1e-6, -1e-6):
                moved = [x.detach().clone() for x in logits]
                moved[level][tuple(index)] += step
                values.append(0.6 * by_hand(moved, target, activation, tau, normalize, channels))
            assert slope[tuple(index)].item() == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-4, abs=1e-9)
    assert slopes[0].abs().max() > 0 and not slopes[2].any()


def test_who_learns_and_without_objects_nobody():
    logits, target = [x.requires_grad_() for x in draw(0)], [x.requires_grad_() for x in draw(1)]
    PositivePriorLoss()(logits, target, places()).backward()
    assert all(x.grad is None for x in target)
    none = places()._replace(positive=[torch.zeros_like(level) for level in places().positive])
    for normalize in ('positives', 'levels'):
        value = PositivePriorLoss(normalize=normalize)(logits, target, none)
        assert value == 0 and not any(g.any() for g in torch.autograd.grad(value, logits))


def test_of_a_softmax_it_is_mmdet_s_on_a_level():
    """Whose divergence LD's authors take: the same rows, the same mean."""
    from mmdet.models.losses import KnowledgeDistillationKLDivLoss

    logits, target, found = draw(0)[:1], draw(1)[:1], places()
    one = Places(found.positive[:1], [torch.ones_like(found.weight[0])], found.number)
    rows = [x[0].permute(0, 2, 3, 1).reshape(2, -1, CLASSES)[one.positive[0]] for x in (logits, target)]
    wanted = KnowledgeDistillationKLDivLoss(T=2, loss_weight=10.0)(*rows, avg_factor=len(rows[0]))
    torch.testing.assert_close(10 * PositivePriorLoss(tau=2.0, normalize='levels')(logits, target, one), wanted)
