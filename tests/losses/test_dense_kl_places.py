"""dense_kl of the heaviest places alone, against sorting them one by one in float64, value and gradient."""

import numpy as np
import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.losses import DenseKLLoss, dense_kl

from .test_dense_kl import divergence, draw, every_kind, every_layout, locations, sigmoid, softmax, tensors


def kept(levels, classes, activation, gamma, share):
    """The locations of the largest weights of each image, rows all together, as sets by level."""
    chosen = []
    for z in levels:
        images = {}
        for where in locations(classes, z.shape):
            score = max(map(sigmoid, z[where])) if activation == 'sigmoid' else 1 - softmax(z[where])[-1]
            images.setdefault(where[0] if z.ndim == 4 else 0, []).append((-(score**gamma), where))
        number = {image: max(1, round(share * len(ranked))) for image, ranked in images.items()}
        best = [sorted(ranked, key=lambda pair: pair[0])[: number[image]] for image, ranked in images.items()]
        chosen.append([where for ranked in best for _, where in ranked])
    return chosen


@every_layout
@every_kind
@pytest.mark.parametrize('share', [0.05, 0.5, 0.9])
def test_the_heaviest_places_alone(classes, shapes, activation, share):
    """Against sorting the places one by one; gradients of the others are zero."""
    a, b, r = draw(shapes), draw(shapes, 1), draw(shapes, 2)
    total, weights, gradients = 0.0, 0.0, [np.zeros(x.shape) for x in a]
    for x, y, z, gradient, chosen in zip(a, b, r, gradients, kept(r, classes, activation, 1.5, share)):
        for where in chosen:
            score = max(map(sigmoid, z[where])) if activation == 'sigmoid' else 1 - softmax(z[where])[-1]
            value, slope = divergence(x[where], y[where], 2.5, activation)
            total, weights = total + score**1.5 * value, weights + score**1.5
            gradient[where] += score**1.5 * slope
    x = tensors(a, learn=True)
    options = dict(num_classes=classes, tau=2.5, activation=activation, gamma=1.5, places=share)
    out = dense_kl(x, tensors(b), tensors(r), **options)
    out.backward()
    np.testing.assert_allclose(out.item(), total / max(weights, 1), rtol=1e-10)
    for found, wanted in zip(x, gradients):
        np.testing.assert_allclose(found.grad.numpy(), wanted / max(weights, 1), rtol=1e-9, atol=1e-14)


def test_places_of_no_box_and_of_other_memory():
    a = torch.zeros(0, 3, requires_grad=True)
    value = dense_kl(a, a.detach(), num_classes=3, places=0.1)
    value.backward()
    assert value == 0 and a.grad.shape == (0, 3)
    a, b = (tensors(draw([(2, 6, 3, 5)], seed))[0] for seed in (0, 1))
    other = a.contiguous(memory_format=torch.channels_last)
    found = dense_kl(other, b, num_classes=3, places=0.4)
    torch.testing.assert_close(found, dense_kl(a, b, num_classes=3, places=0.4))


@pytest.mark.parametrize('options', [dict(places=0.0), dict(places=1.5), dict(places=0.5, weighting='uniform')])
def test_places_are_a_share_of_ranked_ones(options):
    with pytest.raises(UsageError, match='places='):
        DenseKLLoss(3, **options)
