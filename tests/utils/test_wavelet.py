"""Haar's wavelets against their basis written out, and back."""

import pytest
import torch

from shake_mm.utils.wavelet import haar, inverse_haar

SIZES = [(8, 8), (6, 10), (7, 5), (3, 1), (1, 1)]


def split(x):
    """One row of numbers: the normalized sums and differences of pairs, of an odd number with a zero behind it."""
    row = [*x, x.new_zeros(())] if len(x) % 2 else list(x)
    pairs = [(row[i], row[i + 1]) for i in range(0, len(row), 2)]
    return torch.stack([a + b for a, b in pairs]) / 2**0.5, torch.stack([a - b for a, b in pairs]) / 2**0.5


def along(x, dim):
    """Both halves of the rows of a matrix, or of its columns."""
    lines = [split(line) for line in (x if dim == 1 else x.T)]
    halves = [torch.stack(half) for half in zip(*lines)]
    return halves if dim == 1 else [half.T for half in halves]


@pytest.mark.parametrize('size', SIZES)
def test_bands_are_sums_and_differences_of_pairs(size):
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    low, *details = haar(x, 3)
    for n in range(2):
        for c in range(3):
            left = x[n, c]
            for detail in details:
                narrow, steep = along(left, 1)  # across columns
                (left, rows), (columns, both) = along(narrow, 0), along(steep, 0)
                torch.testing.assert_close(detail[n, c], torch.stack([rows, columns, both]))
            torch.testing.assert_close(low[n, c], left)


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('scales', [1, 2, 4])
def test_together_they_are_the_map_again(size, scales):
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    bands = haar(x, scales)
    torch.testing.assert_close(inverse_haar(bands, size), x)
    torch.testing.assert_close(sum(band.square().sum() for band in bands), x.square().sum())  # orthonormal
