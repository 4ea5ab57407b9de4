"""PKTLoss against its formula."""

import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.losses import PKTLoss, probabilistic_transfer

from .compare import ROWS, agree, pair

EPS = 1e-7


def probabilities(x):
    rows = []
    for i in range(len(x)):
        row = []
        for j in range(len(x)):
            a, b = x[i].reshape(-1), x[j].reshape(-1)
            cosine = (a * b).sum() / (((a**2).sum().sqrt() + EPS) * ((b**2).sum().sqrt() + EPS))
            row.append((cosine + 1) / 2)
        rows.append(torch.stack(row) / sum(row))
    return torch.stack(rows)


def reference(s, t):
    p, q = probabilities(t), probabilities(s)
    return sum(a * torch.log((a + EPS) / (b + EPS)) for a, b in zip(p.reshape(-1), q.reshape(-1))) / len(s) ** 2


@pytest.mark.parametrize('shapes', ROWS)
def test_value_and_gradient(shapes):
    agree(probabilistic_transfer, reference, *pair(*shapes))


def test_gradcheck():
    s, t = pair((4, 3), (4, 5))
    assert torch.autograd.gradcheck(lambda x: probabilistic_transfer(x, t), (s,))


def test_opposite_samples_are_finite():
    """Their probability is 0, up to rounding on either side of it."""
    s = torch.tensor([[0.1, 0.3], [-0.1, -0.3]], requires_grad=True)
    loss = probabilistic_transfer(s, torch.ones(2, 2))
    loss.backward()
    assert loss.isfinite() and s.grad.isfinite().all()


def test_needs_samples():
    with pytest.raises(UsageError, match='PKTLoss.*same batch'):
        PKTLoss()(torch.zeros(2, 3), torch.zeros(3, 3))
