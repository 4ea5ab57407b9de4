"""ScaleKD's two views in float64: place by place, and by the cosine transform whose first entry is taken out."""

import math

import pytest
import torch

from shake_mm.losses import ScaleKDLoss, feature_mimicking


def draw(seed, size=(3, 4)):
    generator = torch.Generator().manual_seed(seed)
    shift = 2 * torch.rand(1, 5, 1, 1, generator=generator, dtype=torch.float64)
    return torch.randn(2, 5, *size, generator=generator, dtype=torch.float64) + shift


def cosines(n):
    """Matrix of the orthonormal cosine transform of n numbers."""
    rows = [[math.cos(math.pi * (i + 0.5) * k / n) for i in range(n)] for k in range(n)]
    matrix = torch.tensor(rows, dtype=torch.float64) * (2 / n) ** 0.5
    matrix[0] /= 2**0.5
    return matrix


def without_direct(x):
    """Transformed, the first coefficient of each channel put to zero, transformed back."""
    left, right = cosines(x.shape[2]), cosines(x.shape[3])
    spectrum = left @ x @ right.T
    kept = torch.ones_like(spectrum)
    kept[:, :, 0, 0] = 0
    return left.T @ (spectrum * kept) @ right


def by_hand(feature, target, view):
    if view == 'frequency':
        feature, target = without_direct(feature), without_direct(target)
    total = feature.new_zeros(())
    for mine, its in zip(feature, target):
        for y in range(mine.shape[1]):
            for x in range(mine.shape[2]):
                a, b = mine[:, y, x], its[:, y, x]
                total = total + ((a / (a @ a).sqrt() - b / (b @ b).sqrt()) ** 2).sum()
    return total / len(feature)


@pytest.mark.parametrize('view', ['spatial', 'frequency'])
def test_formula(view):
    feature, target = draw(0).requires_grad_(), draw(1).requires_grad_()
    values = feature_mimicking(feature, target, view), by_hand(feature, target.detach(), view)
    torch.testing.assert_close(*values)
    slopes = [torch.autograd.grad(value, feature)[0] for value in values]
    assert slopes[0].abs().max() > 0.01
    torch.testing.assert_close(*slopes)
    torch.testing.assert_close(ScaleKDLoss(view, 0.08)(feature, target), 0.08 * values[1])


def test_the_views_differ_and_the_second_sees_no_shift_of_a_channel():
    feature, target = draw(0), draw(1)
    assert (feature_mimicking(feature, target) - feature_mimicking(feature, target, 'frequency')).abs() > 1
    shifted = feature + torch.randn(1, 5, 1, 1, dtype=torch.float64)
    one, other = (feature_mimicking(x, target, 'frequency') for x in (feature, shifted))
    torch.testing.assert_close(one, other)
    assert (feature_mimicking(shifted, target) - feature_mimicking(feature, target)).abs() > 0.1
