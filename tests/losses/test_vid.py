"""VIDLoss against its formula: the mean, the variance that is learned, and its start."""

import math

import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.losses import VIDLoss, variational_information

from .compare import agree, pair, same_size

SHAPES = [
    ((2, 3, 4, 4), (2, 3, 4, 4)),
    ((2, 3, 6, 6), (2, 3, 3, 3)),
    ((2, 3, 3, 3), (2, 3, 6, 6)),
    ((1, 3, 4, 6), (1, 3, 5, 3)),
]
VARIANCE = torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64)


def reference(s, t, variance=VARIANCE):
    s, t = same_size(s, t)
    total = 0.0
    for c, v in enumerate(variance):
        total = total + (0.5 * ((s[:, c] - t[:, c]) ** 2 / v + torch.log(v))).sum()
    return total / s.numel()


@pytest.mark.parametrize('shapes', SHAPES)
def test_value_and_gradient(shapes):
    agree(lambda s, t: variational_information(s, t, VARIANCE), reference, *pair(*shapes))


@pytest.mark.parametrize(('init_variance', 'eps'), [(5.0, 1e-5), (0.3, 0.0), (2.0, 0.1)])
def test_variance_starts_where_told(init_variance, eps):
    loss = VIDLoss(4, init_variance, eps)
    torch.testing.assert_close(loss.variance, torch.full((4,), init_variance))
    assert [tuple(p.shape) for p in loss.parameters()] == [(4,)]


def test_gradient_of_the_variance():
    loss = VIDLoss(3).double()
    loss.rho.data = torch.tensor([-1.0, 0.5, 2.0], dtype=torch.float64)
    s, t = pair((2, 3, 2, 2), (2, 3, 2, 2))
    loss(s, t).backward()
    rho = loss.rho.detach().clone().requires_grad_()
    reference(s, t, torch.log(1 + torch.exp(rho)) + 1e-5).backward()
    torch.testing.assert_close(loss.rho.grad, rho.grad)


def test_the_mean_squared_error_is_the_best_variance():
    s, t = pair((4, 1, 8, 8), (4, 1, 8, 8))
    best = ((s - t) ** 2).mean().detach()
    at = [variational_information(s, t, (best * factor).view(1)).item() for factor in (0.9, 1.0, 1.1)]
    assert at[1] < min(at[0], at[2]) and at[1] == pytest.approx(0.5 * (1 + math.log(best)))


def test_a_large_rho_does_not_overflow():
    loss = VIDLoss(1)
    loss.rho.data.fill_(200.0)
    value = loss(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2))
    value.backward()
    assert value.item() == pytest.approx(0.5 * (1 / 200 + math.log(200))) and loss.rho.grad.isfinite().all()


def test_channels_are_those_of_the_target():
    with pytest.raises(UsageError, match=r'num_channels is 5'):
        VIDLoss(5)(torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4))
    with pytest.raises(UsageError, match=r'\(2, 3, 4, 4\) .* \(2, 5, 4, 4\).*connector'):
        VIDLoss(3)(torch.zeros(2, 3, 4, 4), torch.zeros(2, 5, 4, 4))


@pytest.mark.parametrize('arguments', [dict(init_variance=0.0), dict(init_variance=1.0, eps=1.0), dict(eps=-1.0)])
def test_variance_must_be_positive(arguments):
    with pytest.raises(UsageError, match='init_variance > eps >= 0'):
        VIDLoss(3, **arguments)
