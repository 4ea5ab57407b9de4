"""What the tests of the feature losses share: inputs, pooling by its definition, and the check against a reference."""

import math

import torch

MAPS = [
    ((3, 4, 5, 5), (3, 6, 5, 5)),  # other channels
    ((2, 3, 6, 6), (2, 5, 3, 3)),  # larger student
    ((2, 3, 3, 3), (2, 2, 6, 6)),  # larger teacher
    ((2, 2, 4, 6), (2, 3, 6, 3)),  # each larger one way
    ((1, 4, 7, 5), (1, 2, 3, 2)),  # batch 1, bins that overlap
]
"""Shapes of student and teacher maps whose channels and sizes differ."""
ROWS = [((5, 4), (5, 7)), ((4, 3, 2, 2), (4, 5)), ((2, 3), (2, 3)), ((1, 3), (1, 2))]
"""Shapes of student and teacher features that agree in the batch alone."""


def pair(feature_shape, target_shape, seed=0):
    """Two random features in float64; the first learns."""
    generator = torch.Generator().manual_seed(seed)
    feature = torch.randn(feature_shape, generator=generator, dtype=torch.float64).requires_grad_()
    return feature, torch.randn(target_shape, generator=generator, dtype=torch.float64)


def pooled(x, height, width):
    """Adaptive average pooling from its definition: bin i covers floor(i H / h) to ceil((i + 1) H / h)."""
    rows = []
    for i in range(height):
        top, bottom = math.floor(i * x.shape[2] / height), math.ceil((i + 1) * x.shape[2] / height)
        row = []
        for j in range(width):
            left, right = math.floor(j * x.shape[3] / width), math.ceil((j + 1) * x.shape[3] / width)
            row.append(x[:, :, top:bottom, left:right].sum((2, 3)) / ((bottom - top) * (right - left)))
        rows.append(torch.stack(row, -1))
    return torch.stack(rows, -2)


def same_size(s, t):
    """Both maps at the smaller height and width."""
    height, width = min(s.shape[2], t.shape[2]), min(s.shape[3], t.shape[3])
    return pooled(s, height, width), pooled(t, height, width)


def agree(loss, reference, feature, target, exact=1e-9):
    """Compare value and gradient with the reference in float64 (to ``exact``), then on float32 inputs."""
    expected = reference(feature, target)
    (gradient,) = torch.autograd.grad(expected, feature)
    for dtype, tolerance in ((torch.float64, exact), (torch.float32, 2e-5)):
        x = feature.detach().to(dtype).requires_grad_()
        value = loss(x, target.to(dtype))
        (found,) = torch.autograd.grad(value, x)
        assert value.dtype == dtype and value.shape == ()
        scale = max(gradient.abs().max().item(), 1e-3)
        torch.testing.assert_close(value.double(), expected, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(found.double(), gradient, rtol=tolerance, atol=tolerance * scale)
