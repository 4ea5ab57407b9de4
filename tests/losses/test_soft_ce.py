"""Soft cross-entropy against its formula in float64."""

import numpy as np
import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.losses import SoftCELoss, kl_div, soft_ce

from .compare import agree


@pytest.mark.parametrize('tau', [0.5, 1.0, 4.0])
@pytest.mark.parametrize('shape', [(1, 2), (3, 7), (5, 100)])
def test_value_and_gradient(shape, tau):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=shape) * 3, rng.normal(size=shape) * 3

    def soft(x):
        e = np.exp((x - x.max(1, keepdims=True)) / tau)
        return e / e.sum(1, keepdims=True)

    p, q = soft(b), soft(a)
    x = torch.tensor(a, requires_grad=True)
    out = SoftCELoss(tau, loss_weight=0.3)(x, torch.tensor(b))
    out.backward()
    np.testing.assert_allclose(out.item(), -0.3 * tau**2 * (p * np.log(q)).sum() / len(a), rtol=1e-12)
    np.testing.assert_allclose(x.grad.numpy(), 0.3 * tau * (q - p) / len(a), rtol=1e-9, atol=1e-14)


def test_its_gradient_is_that_of_the_divergence():
    """At one temperature the two differ by the entropy of the target."""
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 4, 6, generator=generator, dtype=torch.float64)
    a.requires_grad_()
    agree(lambda x, y: soft_ce(x, y, 2.0) - soft_ce(y, y, 2.0), lambda x, y: kl_div(x, y, 2.0), a, b)


def test_half_precision_and_saturated_logits_stay_finite():
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        a = torch.tensor([[1e4, -1e4, 0.0]], dtype=dtype, requires_grad=True)
        loss = soft_ce(a, torch.tensor([[-1e4, 1e4, 0.0]], dtype=dtype), 4.0)
        loss.backward()
        assert torch.isfinite(loss) and torch.isfinite(a.grad).all()


def test_what_cannot_be_compared():
    with pytest.raises(UsageError, match='SoftCELoss: the feature has shape'):
        soft_ce(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(UsageError, match='tau is 0'):
        SoftCELoss(tau=0)
