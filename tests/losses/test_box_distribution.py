"""Localization distillation by its formula in float64, value and gradient, and as mmdet's LDHead computes it."""

import math

import pytest
import torch

from shake_mm.losses import LocalizationDistillationLoss, Places, ValuableLocalizationLoss

BINS, SHAPES = 3, [(2, 12, 2, 3), (2, 12, 1, 1)]


def draw(seed, channels=None):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(n, channels or c, h, w) for n, c, h, w in SHAPES]
    return [2 * torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def places():
    positive = [torch.tensor([[0, 1, 0, 0, 1, 0], [0] * 6]).bool(), torch.tensor([[0], [1]]).bool()]
    weight = [torch.ones(2, 6), torch.tensor([[0.0], [1.0]])]
    return Places(positive, weight, torch.tensor(3.0))


def weights(region, reference):
    """By level, image and place."""
    chosen = places().positive if region == 'positives' else [level > 0 for level in places().weight]
    scores = [level.amax(1).flatten(1).sigmoid() for level in reference]
    return [one.double() * score for one, score in zip(chosen, scores)]


def by_hand(sides, target, weight, tau):
    """The sum, and its slope: each side of each place."""
    total, slopes = 0.0, [torch.zeros_like(level) for level in sides]
    for s, t, ws, slope in zip(sides, target, weight, slopes):
        n, _, height, width = s.shape
        for i in range(n):
            for place in range(height * width):
                y, x = divmod(place, width)
                for side in range(4):
                    own, its = (
                        [math.exp(z / tau) for z in level[i, BINS * side : BINS * (side + 1), y, x].tolist()]
                        for level in (s, t)
                    )
                    p, q = [v / sum(own) for v in own], [v / sum(its) for v in its]
                    w = ws[i, place].item() / 4
                    total += w * tau**2 * sum(b * math.log(b / a) for a, b in zip(p, q))
                    for bin, (a, b) in enumerate(zip(p, q)):
                        slope[i, BINS * side + bin, y, x] = w * tau * (a - b)
    return total, slopes


def check(found, sides, total, slopes, factor):
    assert found.item() == pytest.approx(factor * total, rel=1e-9) and total > 0
    for grad, slope in zip(torch.autograd.grad(found, sides), slopes):
        torch.testing.assert_close(grad, factor * slope, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize('mean_of_bins', [True, False])
@pytest.mark.parametrize('region', ['positives', 'all'])
def test_formula(region, mean_of_bins):
    sides, target, reference = [x.requires_grad_() for x in draw(0)], draw(1), draw(2, 5)
    loss = LocalizationDistillationLoss(3.0, region, mean_of_bins, loss_weight=0.6)
    weight = weights(region, reference)
    norm = 1 if region == 'positives' else sum(level.sum().item() for level in weight)
    total, slopes = by_hand(sides, target, weight, 3.0)
    check(loss(sides, target, places(), reference), sides, total, slopes, 0.6 / norm / (BINS if mean_of_bins else 1))


def test_valuable_region():
    sides, target = [x.requires_grad_() for x in draw(0)], draw(1)
    weight = [torch.rand(2, 6, dtype=torch.float64), torch.rand(2, 1, dtype=torch.float64)]
    found = ValuableLocalizationLoss(3.0, loss_weight=0.6)(sides, target, weight)
    check(found, sides, *by_hand(sides, target, weight, 3.0), 0.6 / BINS)


def test_without_objects_nothing_is_learned():
    sides, target = [x.requires_grad_() for x in draw(0)], draw(1)
    none = places()._replace(positive=[torch.zeros_like(level) for level in places().positive])
    value = LocalizationDistillationLoss()(sides, target, none, draw(2, 5))
    assert value == 0 and not any(g.any() for g in torch.autograd.grad(value, sides))
