"""Divergence of masks pixel by pixel in float64, value and gradient."""

import math

import pytest
import torch

from shake_mm.losses import MaskKLLoss


def draw(classes, seed):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(3, classes, 2, 4, generator=generator, dtype=torch.float64)


LABELS = torch.tensor([2, 0, 2])


@pytest.mark.parametrize('classes', [3, 1])
def test_formula(classes):
    """Of the channel of a box's class, or of the only one."""
    masks, target, tau = draw(classes, 0).requires_grad_(), draw(classes, 1), 1.7
    total, slope = 0.0, torch.zeros_like(masks)
    for r, label in enumerate(LABELS.tolist()):
        c = label if classes > 1 else 0
        for y in range(2):
            for x in range(4):
                p, q = (1 / (1 + math.exp(-z[r, c, y, x].item() / tau)) for z in (masks, target))
                total += tau**2 * (q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p))) / 24
                slope[r, c, y, x] = tau * (p - q) / 24
    value = MaskKLLoss(tau, loss_weight=0.5)(masks, target, [LABELS])
    assert value.item() == pytest.approx(0.5 * total, rel=1e-9)
    torch.testing.assert_close(torch.autograd.grad(value, masks)[0], 0.5 * slope, rtol=1e-9, atol=1e-12)


def test_a_cascade_s_stages_add_up():
    sides = [[draw(3, seed), draw(3, seed + 1)] for seed in (0, 2)]
    found = MaskKLLoss()(*sides, [LABELS, LABELS])
    torch.testing.assert_close(found, sum(MaskKLLoss()(m, t, [LABELS]) for m, t in zip(*sides)))


def test_no_boxes_no_loss():
    masks = torch.zeros(0, 3, 2, 2, requires_grad=True)
    value = MaskKLLoss()(masks, torch.zeros(0, 3, 2, 2), [LABELS[:0]])
    value.backward()
    assert value == 0
