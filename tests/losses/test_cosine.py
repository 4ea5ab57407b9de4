"""The cosine distance against its formula in float64, on maps, tokens and vectors."""

import math

import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.losses import CosineLoss, cosine


def by_hand(rows, others):
    """One minus the cosine, written out, a mean over rows of numbers."""
    total = 0.0
    for a, b in zip(rows.tolist(), others.tolist()):
        dot = sum(x * y for x, y in zip(a, b))
        total += 1 - dot / (math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(y * y for y in b)))
    return total / len(rows)


def draw(*shape):
    return 3 * torch.randn(*shape, dtype=torch.float64) + 1


def test_of_vectors_tokens_and_maps():
    a, b = draw(3, 5), draw(3, 5)
    assert cosine(a, b).item() == pytest.approx(by_hand(a, b), rel=1e-12)
    a, b = draw(2, 7, 5), draw(2, 7, 5)  # the last dimension are channels, as more of one token count together
    assert cosine(a, b).item() == pytest.approx(by_hand(a.reshape(-1, 5), b.reshape(-1, 5)), rel=1e-12)
    a, b = draw(2, 5, 3, 4), draw(2, 5, 3, 4)
    rows = [x.permute(0, 2, 3, 1).reshape(-1, 5) for x in (a, b)]
    assert cosine(a, b).item() == pytest.approx(by_hand(*rows), rel=1e-12)


def test_a_map_and_its_tokens_are_the_same():
    a, b = draw(2, 5, 3, 4), draw(2, 5, 3, 4)
    tokens = [x.flatten(2).transpose(1, 2) for x in (a, b)]
    torch.testing.assert_close(cosine(a, b), cosine(*tokens))


def test_scale_does_not_count_and_ends_are_0_and_2():
    a, b = draw(2, 7, 5), draw(2, 7, 5)
    torch.testing.assert_close(cosine(7 * a, 0.1 * b), cosine(a, b))
    assert cosine(a, 2 * a).item() == pytest.approx(0, abs=1e-12)
    assert cosine(a, -a).item() == pytest.approx(2)


def test_a_dead_feature_has_a_bounded_gradient():
    a, b = torch.zeros(1, 4, requires_grad=True), torch.tensor([[3.0, 0, 0, 4]])
    cosine(a, b).backward()
    torch.testing.assert_close(a.grad, -b / 5 / 1e-4)


@pytest.mark.parametrize('shape', [(3, 5), (2, 4, 5), (2, 5, 2, 3)], ids=str)
def test_gradients(shape):
    a, b = draw(*shape).requires_grad_(), draw(*shape).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: cosine(x, b.detach()), a)
    CosineLoss(0.3)(a, b).backward()
    assert b.grad is None and a.grad.abs().max() > 0


def test_what_is_of_another_shape_is_told_which_connector_helps():
    with pytest.raises(UsageError, match='TokenMap.*ProjectMap'):
        cosine(torch.zeros(2, 5, 3, 4), torch.zeros(2, 12, 5))
