"""SPLoss against its formula."""

import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.losses import SPLoss, similarity_preserving

from .compare import ROWS, agree, pair


def reference(s, t):
    total = 0.0
    for i in range(len(s)):
        rows = []
        for x in (s, t):
            row = torch.stack([(x[i] * x[j]).sum() for j in range(len(x))])
            rows.append(row / (row**2).sum().sqrt())
        total = total + ((rows[0] - rows[1]) ** 2).sum()
    return total / len(s) ** 2


@pytest.mark.parametrize('shapes', [*ROWS, ((3, 2, 4, 4), (3, 5, 2, 2))])
def test_value_and_gradient(shapes):
    agree(similarity_preserving, reference, *pair(*shapes))


def test_a_rotation_of_the_features_does_not_matter():
    s, t = pair((5, 4), (5, 4))
    rotation, _ = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64))
    torch.testing.assert_close(similarity_preserving(s, t @ rotation), similarity_preserving(s, t))


@pytest.mark.parametrize('shapes', [((2, 3), (4, 3)), ((4,), (4,))])
def test_needs_samples(shapes):
    with pytest.raises(UsageError, match='SPLoss.*same batch'):
        SPLoss()(*map(torch.zeros, shapes))
