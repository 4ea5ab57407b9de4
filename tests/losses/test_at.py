"""ATLoss against its formula, also where the maps differ in size."""

import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.losses import ATLoss, attention_map, attention_transfer

from .compare import MAPS, agree, pair, same_size


def attention(x):
    """Attention maps, sample by sample and position by position."""
    rows = []
    for sample in x:
        a = torch.stack(
            [(sample[:, i, j] ** 2).sum() / len(sample) for i in range(x.shape[2]) for j in range(x.shape[3])]
        )
        rows.append(a / (a**2).sum().sqrt())
    return torch.stack(rows)


def reference(s, t):
    s, t = same_size(s, t)
    return ((attention(s) - attention(t)) ** 2).sum() / (len(s) * s.shape[2] * s.shape[3])


@pytest.mark.parametrize('shapes', MAPS)
def test_value_and_gradient(shapes):
    agree(attention_transfer, reference, *pair(*shapes))


def test_attention_map():
    x, _ = pair((2, 3, 2, 4), (1,))
    torch.testing.assert_close(attention_map(x), attention(x))


def test_scale_of_the_teacher_does_not_matter():
    s, t = pair((2, 3, 4, 4), (2, 5, 4, 4))
    torch.testing.assert_close(attention_transfer(s, 10 * t), attention_transfer(s, t))


def test_needs_maps():
    with pytest.raises(UsageError, match=r'ATLoss.*\(2, 3\).*\(2, 3, 4, 4\).*before the pooling'):
        ATLoss()(torch.zeros(2, 3), torch.zeros(2, 3, 4, 4))
