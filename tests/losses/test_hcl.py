"""HCLLoss against its formula: which sizes a level is compared at, their weights, the sum over levels."""

import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.losses import HCLLoss, hcl
from shake_mm.registry import MODELS

from ..support.stacks import HALVES
from .compare import agree, pair, pooled

USED = {1: (), 2: (1,), 3: (2, 1), 4: (2, 1), 5: (4, 2, 1), 8: (4, 2, 1)}
"""Pooled sizes by the shorter side of a map: those that are smaller."""
SHAPES = [(3, 2, 8, 8), (2, 3, 5, 7), (1, 4, 4, 4), (2, 1, 3, 5), (2, 3, 8, 2), (2, 5, 1, 1), (1, 6, 1, 4)]


def mse(a, b):
    return sum((x - y) ** 2 for x, y in zip(a.reshape(-1), b.reshape(-1))) / a.numel()


def reference(s, t):
    """One level, with weights 1, 1/2, 1/4, 1/8 over those that are used."""
    values = [mse(s, t)] + [mse(pooled(s, n, n), pooled(t, n, n)) for n in USED[min(s.shape[2:])]]
    weights = [1, 1 / 2, 1 / 4, 1 / 8][: len(values)]
    return sum(w * v for w, v in zip(weights, values)) / sum(weights)


@pytest.mark.parametrize('shape', SHAPES)
def test_value_and_gradient_of_a_level(shape):
    agree(hcl, reference, *pair(shape, shape))


@pytest.mark.parametrize('batch', [1, 3])
def test_levels_are_summed(batch):
    """Four levels and the pooled vector; a vector is a 1x1 map, on either side."""
    shapes = [(batch, 2, 8, 8), (batch, 3, 5, 5), (batch, 4, 3, 3), (batch, 5, 2, 2), (batch, 6)]
    levels = [pair(shape, shape, seed) for seed, shape in enumerate(shapes)]
    features, targets = [s for s, _ in levels], [t for _, t in levels]
    maps = [(s, t) if s.dim() == 4 else (s.view(batch, 6, 1, 1), t.view(batch, 6, 1, 1)) for s, t in levels]
    expected = sum(reference(s, t) for s, t in maps)
    value = hcl(features, targets)
    torch.testing.assert_close(value, expected)
    for found, wanted in zip(torch.autograd.grad(value, features), torch.autograd.grad(expected, features)):
        torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(hcl(features, [*targets[:-1], targets[-1].view(batch, 6, 1, 1)]), value)


def test_numbers():
    """A single 8 in 8x8: 64/64, 2x2 blocks 2^2/16, then 0.5^2/4 and 0.125^2."""
    s, t = torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    s[0, 0, 3, 5] = 8
    expected = (1 + 0.25 / 2 + 0.0625 / 4 + 0.015625 / 8) / (1 + 1 / 2 + 1 / 4 + 1 / 8)
    assert HCLLoss()(s, t).item() == pytest.approx(expected)


@pytest.mark.parametrize('size', USED)
def test_a_shift_costs_its_square_at_every_size(size):
    t = torch.randn(2, 3, size, size, dtype=torch.float64)
    torch.testing.assert_close(hcl(t + 3, t), torch.tensor(9.0, dtype=torch.float64))


def test_weight_and_target():
    s, t = pair((2, 3, 5, 5), (2, 3, 5, 5))
    t.requires_grad_()
    value = HCLLoss(loss_weight=0.3)([s, s], [t, t])
    torch.testing.assert_close(value, 0.6 * hcl(s, t))
    value.backward()
    assert s.grad.abs().max() > 0 and t.grad is None
    assert MODELS.get('shake_mm.HCLLoss') is HCLLoss


def test_equal_features():
    s, _ = pair((2, 3, 8, 8), (1,))
    value = hcl([s, s], [s.detach(), s.detach()])
    value.backward()
    assert value == 0 and (s.grad == 0).all()


@pytest.mark.parametrize('dtype', HALVES)
def test_half_precision_does_not_overflow(dtype):
    s = torch.full((2, 3, 4, 4), 300.0, dtype=dtype, requires_grad=True)
    with torch.autocast('cpu', dtype=dtype):
        value = hcl([s], [-s.detach()])
    value.backward()
    assert value.dtype == torch.float32 and s.grad.dtype == dtype and s.grad.isfinite().all()
    torch.testing.assert_close(value.item(), 4 * s[0, 0, 0, 0].item() ** 2)


WRONG = [((2, 3, 4, 4), (2, 5, 4, 4)), ((2, 3, 4, 4), (2, 3, 8, 8)), ((2, 3), (2, 3, 2, 2)), ((3, 4, 4), (3, 4, 4))]


@pytest.mark.parametrize(('feature', 'target'), WRONG)
def test_shapes_must_agree(feature, target):
    with pytest.raises(UsageError, match='ReviewFusion') as info:
        HCLLoss()([torch.zeros(2, 1), torch.zeros(feature)], [torch.zeros(2, 1), torch.zeros(target)])
    assert str(feature) in str(info.value) and str(target) in str(info.value)


@pytest.mark.parametrize('numbers', [(2, 3), (1, 0), (0, 0)])
def test_as_many_targets_as_features(numbers):
    with pytest.raises(UsageError, match=f'features is {numbers[0]} and that of targets {numbers[1]}'):
        hcl(*([torch.zeros(2, 3)] * n for n in numbers))
