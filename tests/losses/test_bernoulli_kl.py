"""bernoulli_kl against its formula in float64, class by class."""

import numpy as np
import pytest
import torch

from shake_mm.losses import BernoulliKLLoss, bernoulli_kl, dense_kl


def reference(a, b, tau):
    """Value and gradient with respect to a, in numpy: d/da = tau (sigmoid(a/tau) - sigmoid(b/tau)) / N."""
    p, q = 1 / (1 + np.exp(-b / tau)), 1 / (1 + np.exp(-a / tau))
    divergence = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    return tau**2 * divergence.sum() / len(a), tau * (q - p) / len(a)


@pytest.mark.parametrize('tau', [0.5, 1.0, 4.0])
@pytest.mark.parametrize('shape', [(1, 1), (3, 7), (5, 80)])
def test_value_and_gradient(shape, tau):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=shape) * 3, rng.normal(size=shape) * 3
    value, gradient = reference(a, b, tau)
    x = torch.tensor(a, requires_grad=True)
    out = BernoulliKLLoss(tau, loss_weight=0.5)(x, torch.tensor(b))
    out.backward()
    np.testing.assert_allclose(out.item(), 0.5 * value, rtol=1e-10)
    np.testing.assert_allclose(x.grad.numpy(), 0.5 * gradient, rtol=1e-9, atol=1e-14)


def test_gradcheck():
    a, b = torch.randn(3, 4, dtype=torch.float64, requires_grad=True), torch.randn(3, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: bernoulli_kl(x, b, 2.0), (a,))


def test_contradiction_in_every_class_is_large_where_a_softmax_sees_none():
    """One network says that all classes are there, the other that none is."""
    none, every = torch.full((4, 10), -6.0), torch.full((4, 10), 6.0)
    assert bernoulli_kl(none, every, 1.0) > 10 * 5


def test_it_is_the_dense_divergence_of_rows():
    a, b = torch.randn(3, 4), torch.randn(3, 4)
    torch.testing.assert_close(bernoulli_kl(a, b, 2.0), dense_kl(a, b, num_classes=4, tau=2.0, weighting='uniform'))
