"""Layer-normalized logits."""

import torch

from shake_mm.connectors import LogitNorm


def test_value_gradient_and_equal_logits():
    z = (5 * torch.randn(3, 7, dtype=torch.float64)).requires_grad_()
    centered = z - z.sum(dim=1, keepdim=True) / 7
    expected = 3.1415 * centered / ((centered**2).sum(dim=1, keepdim=True) / 7 + 1e-7) ** 0.5
    weights = torch.randn_like(z)
    out = LogitNorm()(z)
    torch.testing.assert_close(out, expected)
    (have,) = torch.autograd.grad((out * weights).sum(), z)
    (want,) = torch.autograd.grad((expected * weights).sum(), z)
    torch.testing.assert_close(have, want)
    equal = torch.zeros(2, 4, requires_grad=True)
    LogitNorm(2.0)(equal).sum().backward()
    assert equal.grad.isfinite().all()


def test_has_nothing_to_learn():
    assert not list(LogitNorm().parameters())
