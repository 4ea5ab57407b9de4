"""CCLoss against its formula, with gradient into both embeddings."""

import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.losses import CCLoss, correlation_congruence

from .compare import agree, pair


def reference(s, t):
    total = 0.0
    for i in range(len(s) - 1):
        for k in range(s.shape[1]):
            total = total + (s[i, k] - t[i, k]).abs() * (s[i + 1, k] - t[i + 1, k]).abs()
    return total / (len(s) - 1)


@pytest.mark.parametrize('shape', [(5, 3), (2, 1), (3, 8)])
def test_value_and_gradient(shape):
    s, t = pair(shape, shape)
    agree(correlation_congruence, reference, s, t)
    agree(lambda a, b: correlation_congruence(b, a), lambda a, b: reference(b, a), s, t)


def test_gradients_of_both_sides_are_opposite():
    s, t = pair((4, 3), (4, 3))
    t.requires_grad_()
    correlation_congruence(s, t).backward()
    assert s.grad.abs().min() > 0
    torch.testing.assert_close(s.grad, -t.grad)


def test_batch_of_one_is_zero_with_zero_gradients():
    s, t = pair((1, 3), (1, 3))
    t.requires_grad_()
    loss = correlation_congruence(s, t)
    loss.backward()
    assert loss == 0 and (s.grad == 0).all() and (t.grad == 0).all()


def test_a_doubled_batch_has_one_pair_more():
    """The last sample of the first copy meets the first of the second."""
    s, t = (x.detach() for x in pair((4, 3), (4, 3)))
    error = (s - t).abs()
    expected = (2 * 3 * correlation_congruence(s, t) + (error[3] * error[0]).sum()) / 7
    torch.testing.assert_close(correlation_congruence(torch.cat([s, s]), torch.cat([t, t])), expected)


def test_embeddings_of_equal_length():
    with pytest.raises(UsageError, match=r'\(2, 3\) .* \(2, 4\).*Embedding.*to_connector'):
        CCLoss()(torch.zeros(2, 3), torch.zeros(2, 4))
