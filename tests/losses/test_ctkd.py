"""CTKDLoss: KD's value and gradient at its temperature, whose own gradient is reversed and ramped."""

import math

import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.losses import CTKDLoss, curriculum_kd

from .compare import agree, pair


def reference(s, t, theta):
    tau = 1 + 20 / (1 + torch.exp(-theta))
    p, q = ((z / tau).exp() / (z / tau).exp().sum(1, keepdim=True) for z in (t, s))
    return (tau**2 * (p * (p / q).log()).sum() / len(s)).reshape(())


def test_value_and_gradient():
    s, t = pair((3, 5), (3, 5))
    theta = torch.tensor([-2.0], dtype=torch.float64)
    agree(lambda x, y: curriculum_kd(x, y, theta.to(x.dtype), 0.5), lambda x, y: reference(x, y, theta), s, 5 * t)


@pytest.mark.parametrize('strength', [0.0, 0.3, 1.0])
def test_the_temperature_ascends_where_the_student_descends(strength):
    s, t = pair((3, 5), (3, 5))
    theta = torch.tensor([-2.0], dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(curriculum_kd(s, 5 * t, theta, strength), theta)
    (plain,) = torch.autograd.grad(reference(s, 5 * t, theta), theta)
    assert plain.abs() > 1e-3
    torch.testing.assert_close(found, -strength * plain)


def test_the_strength_rises_along_a_cosine():
    loss, seen = CTKDLoss(), []
    for epoch in range(12):
        loss.enter_epoch(epoch)
        seen.append(loss.strength)
    wanted = [0.5 - 0.5 * math.cos(math.pi * n / 10) for n in range(1, 11)]
    assert seen == pytest.approx([*wanted, 1.0, 1.0]) and seen == sorted(seen)


def test_a_step_moves_the_temperature_towards_a_larger_loss():
    s, t = pair((4, 6), (4, 6))
    loss = CTKDLoss(start=-2.0).double()
    loss.enter_epoch(20)
    before = loss(s, 5 * t)
    before.backward()
    with torch.no_grad():
        loss.parameter -= 0.01 * loss.parameter.grad
    assert loss(s, 5 * t) > before


def test_errors():
    with pytest.raises(UsageError, match='least=0'):
        CTKDLoss(least=0)
