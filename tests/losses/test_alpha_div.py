"""alpha_div against its formula, class by class in Python floats, values and AlphaNet's gradient."""

import math

import numpy as np
import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.losses import AlphaDivLoss, alpha_div, kl_div


def softmax(row, tau):
    powers = [math.exp((x - max(row)) / tau) for x in row]
    return [x / sum(powers) for x in powers]


def one_sided(p, q, alpha, clip):
    """Divergence, and its gradient with respect to q's softened logits z: -sum_k q_k rho_k (1[k = j] - q_j)."""
    if alpha == 1:
        value, rho = sum(a * math.log(a / b) for a, b in zip(p, q)), [a / b for a, b in zip(p, q)]
    elif alpha == 0:
        value, rho = sum(b * math.log(b / a) for a, b in zip(p, q)), [math.log(a / b) for a, b in zip(p, q)]
    else:
        weights = [min((a / b) ** alpha, clip) for a, b in zip(p, q)]
        value = sum(b * (w - 1) for b, w in zip(q, weights)) / alpha / (alpha - 1)
        rho = [w / alpha for w in weights]
    total = sum(b * r for b, r in zip(q, rho))
    return value, [-(b * r - b * total) for b, r in zip(q, rho)]


def reference(a, b, tau, alphas, clip):
    value, gradient = 0.0, []
    for row, goal in zip(a, b):
        q, p = softmax(row, tau), softmax(goal, tau)
        worst = max((one_sided(p, q, alpha, clip) for alpha in alphas), key=lambda pair: pair[0])
        value += tau**2 * worst[0] / len(a)
        gradient.append([tau * g / len(a) for g in worst[1]])
    return value, gradient


@pytest.mark.parametrize('alphas', [(-1.0, 1.0), (-1.0, 2.0), (0.0, 1.0), (-0.5, 0.5)])
@pytest.mark.parametrize(('shape', 'tau'), [((1, 2), 1.0), ((6, 5), 2.0), ((4, 9), 0.7)])
def test_value_and_gradient(alphas, shape, tau):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=shape) * 3, rng.normal(size=shape) * 3
    value, gradient = reference(a, b, tau, alphas, 5.0)
    x = torch.tensor(a, requires_grad=True)
    out = alpha_div(x, torch.tensor(b, requires_grad=True), tau, *alphas)
    out.backward()
    np.testing.assert_allclose(out.item(), value, rtol=1e-10)
    np.testing.assert_allclose(x.grad.numpy(), gradient, rtol=1e-8, atol=1e-13)


def test_each_sample_takes_the_side_that_is_worse():
    sure, even = [[6.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]]
    for a, b in ((sure, even), (even, sure)):
        a, b = torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)
        sides = [alpha_div(a, b, 1.0, alpha, alpha).item() for alpha in (-1.0, 1.0)]
        assert alpha_div(a, b, 1.0).item() == max(sides) and sides[0] != sides[1]
    both = alpha_div(torch.tensor(sure + even), torch.tensor(even + sure), 1.0)
    single = [alpha_div(torch.tensor(x), torch.tensor(y), 1.0) for x, y in ((sure, even), (even, sure))]
    torch.testing.assert_close(both, sum(single) / 2)


def test_clipping_bounds_the_weights():
    a, b = torch.tensor([[9.0, -9.0]], requires_grad=True), torch.tensor([[-9.0, 9.0]])
    assert alpha_div(a, b, 1.0, -1.0, -1.0).item() == pytest.approx((5.0 - 1) / 2, rel=1e-4)
    assert alpha_div(a, b, 1.0, -1.0, -1.0, clip=50.0).item() == pytest.approx((50.0 - 1) / 2, rel=1e-4)


def test_alpha_one_is_kl():
    a, b = (torch.randn(5, 7, dtype=torch.float64) * 2 for _ in range(2))
    x, y = a.clone().requires_grad_(), a.clone().requires_grad_()
    ours, kl = alpha_div(x, b, 3.0, 1.0, 1.0), kl_div(y, b, 3.0)
    ours.backward()
    kl.backward()
    torch.testing.assert_close(ours, kl)
    torch.testing.assert_close(x.grad, y.grad)


def test_equal_predictions_are_the_minimum_without_gradient():
    a = torch.randn(4, 6, requires_grad=True)
    out = alpha_div(a, a.detach(), 3.0)
    out.backward()
    assert abs(out.item()) < 1e-6 and a.grad.abs().max() < 1e-6


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32])
def test_saturated_logits(dtype):
    a = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]], dtype=dtype, requires_grad=True)
    out = alpha_div(a, a.detach().flip(0), 1.0)
    out.backward()
    assert torch.isfinite(out) and torch.isfinite(a.grad).all()


def test_weight_and_duplicates():
    a, b = (torch.randn(4, 6, dtype=torch.float64) for _ in range(2))
    one = AlphaDivLoss(2.0)(a, b)
    torch.testing.assert_close(AlphaDivLoss(2.0, loss_weight=0.3)(a, b), 0.3 * one)
    torch.testing.assert_close(AlphaDivLoss(2.0)(torch.cat([a, a]), torch.cat([b, b])), one)


@pytest.mark.parametrize('wrong', [dict(tau=0.0), dict(alpha_min=1.0, alpha_max=0.0), dict(clip=0.5)])
def test_arguments_out_of_range(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        AlphaDivLoss(**wrong)


def test_other_classes_are_refused():
    with pytest.raises(UsageError, match='same number of classes'):
        alpha_div(torch.zeros(2, 3), torch.zeros(2, 4))
