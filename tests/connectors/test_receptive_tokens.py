"""Tokens in a pyramid: their masks, what these count, and what they let through."""

import pytest
import torch
from torch.nn import functional as F

from shake_mm.connectors import MaskedPyramid, ReceptiveTokens
from shake_mm.errors import UsageError

SHAPES = [(5, 6, 4), (4, 3, 2)]


def pyramid(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, *shape, generator=generator, dtype=torch.float64) for shape in SHAPES]


def tokens(**settings):
    torch.manual_seed(1)
    connector = ReceptiveTokens(SHAPES, **settings).double()
    for own in connector.tokens:
        own.data.mul_(50)
    return connector


def test_masks_and_shares():
    connector, levels = tokens(tokens=3), pyramid()
    masks, shares, own = connector(levels)
    for i, level in enumerate(levels):
        n, _, height, width = level.shape
        for t, token in enumerate(connector.tokens[i]):
            for y in range(height):
                for x in range(width):
                    wanted = 1 / (1 + torch.exp(-(level[:, :, y, x] * token).sum(1)))
                    torch.testing.assert_close(masks[i][:, t, y, x], wanted)
        network = connector.importance[i]
        mean = F.conv2d(level, network.conv.weight, network.conv.bias, padding=1).mean((2, 3))
        scores = (mean @ network.classify.weight.T + network.classify.bias).exp()
        torch.testing.assert_close(shares[i], scores / scores.sum(1, keepdim=True))
        torch.testing.assert_close(own[i], connector.tokens[i].expand(n, -1, -1))
        assert shares[i].std() > 0


def test_what_the_masks_let_through():
    levels, found = pyramid(), tokens(tokens=3)(pyramid())
    shapes = [[tuple(x.shape[1:]) for x in part] for part in found]
    seen = MaskedPyramid([shapes, *SHAPES])([found, *levels])
    for level, masks, shares, own in zip(levels, *found[:2], seen):
        wanted = sum(shares[:, t, None, None, None] * masks[:, t, None] * level for t in range(3))
        torch.testing.assert_close(own, wanted)


def test_all_of_it_learns_from_what_is_let_through():
    connector, levels = tokens(), pyramid()
    found = connector(levels)
    seen = MaskedPyramid([[[1] * 2] * 3, *SHAPES])([found, *levels])
    sum((x * torch.randn_like(x)).sum() for x in seen).backward()
    assert all((own.grad.abs().amax(1) > 0).all() for own in connector.tokens)
    assert all(p.grad.abs().max() > 0 for p in connector.importance.parameters())


@pytest.mark.parametrize(
    ('build', 'words'),
    [
        (lambda: ReceptiveTokens(SHAPES, tokens=1), 'tokens=1, but it needs 2 at least'),
        (lambda: ReceptiveTokens((5, 8, 6)), r"`source` must name levels of a network .*: \['teacher0.f\*'\]"),
        (lambda: ReceptiveTokens([None, None]), 'must name levels'),
        (lambda: MaskedPyramid(SHAPES), 'must name a ReceptiveTokens and then the levels that it reads'),
        (lambda: MaskedPyramid([[[(3, 1, 1)] * 3, [(3,)] * 3, [(3, 5)] * 3], *SHAPES]), 'must name a ReceptiveTokens'),
    ],
)
def test_refused(build, words):
    with pytest.raises(UsageError, match=words):
        build()
