"""kl_div against its formula in float64, values and gradients, and the metamorphic checks of a distillation loss."""

import numpy as np
import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.losses import KLDivLoss, kl_div


def reference(a, b, tau):
    """Value and gradient with respect to a, in numpy: d/da = tau (softmax(a/tau) - softmax(b/tau)) / N."""

    def soft(x):
        e = np.exp((x - x.max(1, keepdims=True)) / tau)
        return e / e.sum(1, keepdims=True)

    p, q = soft(b), soft(a)
    return tau**2 * (p * (np.log(p) - np.log(q))).sum() / len(a), tau * (q - p) / len(a)


@pytest.mark.parametrize('tau', [0.5, 1.0, 4.0])
@pytest.mark.parametrize('shape', [(1, 2), (3, 7), (5, 100)])
def test_value_and_gradient(shape, tau):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=shape) * 3, rng.normal(size=shape) * 3
    value, grad = reference(a, b, tau)
    x = torch.tensor(a, requires_grad=True)
    out = kl_div(x, torch.tensor(b), tau)
    out.backward()
    np.testing.assert_allclose(out.item(), value, rtol=1e-12)
    np.testing.assert_allclose(x.grad.numpy(), grad, rtol=1e-9, atol=1e-14)


def test_gradcheck():
    torch.manual_seed(0)
    a, b = torch.randn(3, 4, dtype=torch.float64, requires_grad=True), torch.randn(3, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: kl_div(x, b, 2.0), (a,))


def test_direction():
    """KL is not symmetric: b is the target."""
    a, b = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])
    assert kl_div(a, b, 1.0) != kl_div(b, a, 1.0)
    assert kl_div(a, b, 1.0).item() == pytest.approx(0.4337808, abs=1e-6)


def test_minimum_is_zero_with_zero_gradient():
    a = torch.randn(4, 6, requires_grad=True)
    out = kl_div(a, a.detach(), 3.0)
    out.backward()
    assert abs(out.item()) < 1e-6 and a.grad.abs().max() < 1e-6


def test_loss_weight_scales_and_batch_duplication_does_not_matter():
    a, b = torch.randn(4, 6, dtype=torch.float64), torch.randn(4, 6, dtype=torch.float64)
    one = KLDivLoss(2.0)(a, b)
    torch.testing.assert_close(KLDivLoss(2.0, loss_weight=0.3)(a, b), 0.3 * one)
    torch.testing.assert_close(KLDivLoss(2.0)(torch.cat([a, a]), torch.cat([b, b])), one)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_saturated_half_precision_is_finite(dtype):
    a = torch.tensor([[300.0, -300.0, 0.0]], dtype=dtype, requires_grad=True)
    out = kl_div(a, -a.detach(), 4.0)
    out.backward()
    assert out.dtype == torch.float32 and torch.isfinite(out) and torch.isfinite(a.grad).all()


@pytest.mark.parametrize('tau', [0, -2, float('nan')])
def test_temperature_must_be_positive(tau):
    with pytest.raises(UsageError, match='temperature'):
        KLDivLoss(tau)


def test_class_counts_must_agree():
    with pytest.raises(UsageError, match='same number of classes'):
        kl_div(torch.zeros(2, 3), torch.zeros(2, 4))
