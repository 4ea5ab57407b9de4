"""NSTLoss against the double sum over channels, on either of its two ways to compute it."""

import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.losses import NSTLoss, neuron_selectivity

from .compare import MAPS, agree, pair, same_size

MANY_CHANNELS = ((2, 9, 2, 2), (2, 7, 2, 2))
MANY_POSITIONS = ((2, 2, 5, 5), (2, 3, 5, 5))


def mean_kernel(x, y):
    total = 0.0
    for a, b in ((a, b) for a in x for b in y):
        a, b = a.reshape(-1), b.reshape(-1)
        total = total + ((a * b).sum() / ((a**2).sum().sqrt() * (b**2).sum().sqrt())) ** 2
    return total / (len(x) * len(y))


def reference(s, t):
    s, t = same_size(s, t)
    return sum(mean_kernel(b, b) + mean_kernel(a, a) - 2 * mean_kernel(a, b) for a, b in zip(s, t)) / len(s)


@pytest.mark.parametrize('shapes', [*MAPS, MANY_CHANNELS, MANY_POSITIONS])
def test_value_and_gradient(shapes):
    agree(neuron_selectivity, reference, *pair(*shapes))


@pytest.mark.parametrize('shapes', [MANY_CHANNELS, MANY_POSITIONS])
def test_gradcheck(shapes):
    s, t = pair(*shapes)
    assert torch.autograd.gradcheck(lambda x: neuron_selectivity(x, t), (s,))


@pytest.mark.parametrize(('channels', 'size'), [(16, 32), (256, 8)])
def test_no_tensor_grows_with_channels_times_channels_times_positions(channels, size):
    """The largest tensor that autograd keeps is a Gram matrix or a map."""
    saved = []
    s, t = torch.randn(2, channels, size, size, requires_grad=True), torch.randn(2, channels, size, size)
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x.numel()) or x, lambda x: x):
        neuron_selectivity(s, t)
    assert max(saved) <= 2 * max(channels * size**2, min(channels, size**2) ** 2)


def test_order_and_sign_of_channels_do_not_matter():
    s, t = pair((2, 4, 3, 3), (2, 5, 3, 3))
    torch.testing.assert_close(neuron_selectivity(s, -t.flip(1)), neuron_selectivity(s, t))


def test_needs_maps_of_one_batch():
    with pytest.raises(UsageError, match='NSTLoss.*maps'):
        NSTLoss()(torch.zeros(2, 3), torch.zeros(2, 3))
    with pytest.raises(UsageError, match='NSTLoss.*same batch'):
        NSTLoss()(torch.zeros(2, 3, 4, 4), torch.zeros(3, 3, 4, 4))
