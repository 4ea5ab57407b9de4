"""Tokens of vision transformers, each where its patch is."""

import pytest
import torch

from shake_mm.connectors import TokenMap
from shake_mm.errors import UsageError


@pytest.mark.parametrize(
    ('length', 'options', 'prefix', 'grid'),
    [
        (197, {}, 1, (14, 14)),
        (196, {}, 0, (14, 14)),
        (261, {}, 5, (16, 16)),  # four registers and a class token
        (13, dict(grid=(3, 4)), 1, (3, 4)),
        (12, dict(prefix=0, grid=(3, 4)), 0, (3, 4)),
        (9, dict(prefix=5), 5, (2, 2)),
    ],
)
def test_every_patch_is_in_its_place(length, options, prefix, grid):
    tokens = torch.randn(2, length, 3, dtype=torch.float64)
    found = TokenMap((length, 3), **options)(tokens)
    assert found.shape == (2, 3, *grid)
    for row in range(grid[0]):
        for column in range(grid[1]):
            assert torch.equal(found[:, :, row, column], tokens[:, prefix + row * grid[1] + column])


def test_a_convolution_over_patches_comes_back():
    """A ViT flattens the map of its patch embedding; this is the way back."""
    patches = torch.randn(2, 8, 5, 5, requires_grad=True)
    tokens = torch.cat([torch.zeros(2, 1, 8), patches.flatten(2).transpose(1, 2)], dim=1)
    found = TokenMap((26, 8))(tokens)
    assert torch.equal(found, patches)
    found.sum().backward()
    assert torch.equal(patches.grad, torch.ones_like(patches))


@pytest.mark.parametrize(
    ('shape', 'options', 'words'),
    [
        ((8, 5, 5), {}, r'tokens are \(L, C\): tap a block'),
        ((197, 8), dict(prefix=2), 'set `prefix`'),
        ((197, 8), dict(grid=(20, 20)), 'set `prefix`'),
        ((3, 8), dict(prefix=3), 'set `prefix`'),
    ],
)
def test_what_does_not_add_up_is_refused(shape, options, words):
    with pytest.raises(UsageError, match=words):
        TokenMap(shape, **options)
