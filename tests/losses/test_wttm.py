"""WTTMLoss against its definition by probabilities."""

import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.losses import WTTMLoss, kl_div, transformed_matching

from .compare import agree, pair


def reference(s, t, gamma, weighted):
    total = 0.0
    for a, b in zip(s, t):
        p = torch.exp(b) / torch.exp(b).sum()
        q = torch.exp(a) / torch.exp(a).sum()
        power = sum(x**gamma for x in p)
        divergence = sum(x**gamma / power * torch.log(x**gamma / power / y) for x, y in zip(p, q))
        total = total + (power if weighted else 1.0) * divergence
    return total / len(s)


@pytest.mark.parametrize('weighted', [True, False])
@pytest.mark.parametrize('gamma', [0.1, 0.5, 1.0, 2.0])
@pytest.mark.parametrize('shape', [(3, 5), (1, 2)])
def test_value_and_gradient(shape, gamma, weighted):
    s, t = pair(shape, shape)
    agree(
        lambda x, y: transformed_matching(x, y, gamma, weighted),
        lambda x, y: reference(x, y, gamma, weighted),
        s,
        3 * t,
    )


def test_without_a_transform_it_is_kd_at_a_temperature_of_1():
    s, t = pair((3, 6), (3, 6))
    for weighted in (True, False):
        torch.testing.assert_close(transformed_matching(s, t, 1.0, weighted), kl_div(s, t, 1.0))


def test_an_unsure_teacher_counts_more():
    """The power sum lies between 1, of a sure one, and K to the power of 1 - gamma."""
    s, t = torch.zeros(1, 4, dtype=torch.float64), torch.tensor([[1e-3, 0.0, 0.0, 0.0]], dtype=torch.float64)
    ratio = transformed_matching(s, t, 0.5) / transformed_matching(s, t, 0.5, weighted=False)
    torch.testing.assert_close(ratio.item(), 2.0, rtol=1e-6, atol=0)


def test_errors():
    for gamma in (0, -1.0, float('nan')):
        with pytest.raises(UsageError, match='gamma is'):
            WTTMLoss(gamma)
