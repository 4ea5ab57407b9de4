"""The quality focal loss to a teacher's scores, prior by prior and class by class in float64, value and gradient."""

import math

import pytest
import torch

from shake_mm.losses import Places, SoftQualityFocalLoss

SHAPES = [(2, 6, 3, 4), (2, 6, 1, 2)]  # two anchors of three classes


def places():
    generator = torch.Generator().manual_seed(1)
    weight = [torch.randint(2, (2, h * w * 2), generator=generator).double() for *_, h, w in SHAPES]
    return Places([level > 2 for level in weight], weight, torch.tensor(7.0))


def draw(seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) * 2 for shape in SHAPES]


def by_hand(logits, target, beta):
    """The sum over levels, images, places, anchors and classes, and its slope."""
    total, slopes = 0.0, [torch.zeros_like(level) for level in logits]
    for a, b, weight, slope in zip(logits, target, places().weight, slopes):
        n, _, height, width = a.shape
        for i in range(n):
            for y in range(height):
                for x in range(width):
                    for anchor in range(2):
                        w = weight[i, (y * width + x) * 2 + anchor].item()
                        for channel in range(3 * anchor, 3 * anchor + 3):
                            p, q = (1 / (1 + math.exp(-z[i, channel, y, x].item())) for z in (a, b))
                            entropy = -q * math.log(p) - (1 - q) * math.log(1 - p)
                            total += w * abs(p - q) ** beta * entropy
                            inner = beta * abs(p - q) ** (beta - 1) * math.copysign(1, p - q) * p * (1 - p) * entropy
                            slope[i, channel, y, x] = w * (inner + abs(p - q) ** beta * (p - q))
    return total, slopes


@pytest.mark.parametrize('beta', [1.0, 2.0])
def test_formula(beta):
    logits, target = [x.requires_grad_() for x in draw(2)], draw(3)
    value = SoftQualityFocalLoss(beta=beta, loss_weight=0.4)(logits, target, places())
    total, slopes = by_hand(logits, target, beta)
    assert value.item() == pytest.approx(0.4 * total / 7, rel=1e-9)
    for found, wanted in zip(torch.autograd.grad(value, logits), slopes):
        torch.testing.assert_close(found, 0.4 * wanted / 7, rtol=1e-9, atol=1e-12)


def test_equal_scores_are_the_minimum():
    logits = [x.requires_grad_() for x in draw(2)]
    value = SoftQualityFocalLoss()(logits, [x.detach() for x in logits], places())
    assert value == 0 and all(not g.any() for g in torch.autograd.grad(value, logits))
