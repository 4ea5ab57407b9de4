"""Embedding: flatten, linear, unit length."""

import pytest
import torch

from shake_mm.connectors import Embedding


@pytest.mark.parametrize('in_shape', [(7,), (3, 2, 4)])
def test_value(in_shape):
    embedding = Embedding(in_shape, 5).double()
    x = torch.randn(2, *in_shape, dtype=torch.float64)
    expected = torch.stack([embedding.linear.weight @ row.reshape(-1) + embedding.linear.bias for row in x])
    torch.testing.assert_close(embedding(x), expected)
    unit = Embedding(in_shape, 5, normalize=True).double()
    unit.load_state_dict(embedding.state_dict())
    torch.testing.assert_close(unit(x), expected / (expected**2).sum(1, keepdim=True).sqrt())


def test_parameters():
    assert sum(p.numel() for p in Embedding((64,)).parameters()) == 64 * 128 + 128
    assert Embedding((64, 8, 8), 16).linear.weight.shape == (16, 4096)


def test_a_zero_embedding_is_finite():
    embedding = Embedding((3,), 2, normalize=True)
    embedding.linear.bias.data.zero_()
    x = torch.zeros(1, 3, requires_grad=True)
    embedding(x).sum().backward()
    assert x.grad.isfinite().all()
