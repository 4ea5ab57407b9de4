"""Prompts in frequencies, place by place, and what a head makes of a pyramid that they weigh."""

import pytest
import torch

from shake_mm.connectors import FrequencyPrompt, PromptedHead, PromptedPyramid
from shake_mm.errors import UsageError
from shake_mm.utils.wavelet import haar

SHAPES = [(5, 8, 6), (4, 5, 4)]


def pyramid(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, *shape, generator=generator, dtype=torch.float64) for shape in SHAPES]


def prompts(**settings):
    torch.manual_seed(1)
    connector = FrequencyPrompt(SHAPES, **settings).double()
    for own in connector.prompts:
        own.data.mul_(50)
    return connector


def mask_by_hand(prompt, band):
    """The sigmoid of a prompt's product with each place."""
    n, _, height, width = band.shape
    mask = band.new_zeros(n, height, width)
    for i in range(n):
        for y in range(height):
            for x in range(width):
                mask[i, y, x] = 1 / (1 + torch.exp(-(prompt * band[i, :, y, x]).sum()))
    return mask


def test_masks():
    """Of what is left first, then from the finest scale; three orientations are one band."""
    connector, levels = prompts(prompts=3, scales=2), pyramid()
    found = connector(levels)
    assert len(found) == 6
    for level, own in enumerate(connector.prompts):
        low, *details = haar(levels[level], 2)
        for j, band in enumerate([low, *(d[:, :, 0] + d[:, :, 1] + d[:, :, 2] for d in details)]):
            for t in range(3):
                torch.testing.assert_close(found[3 * level + j][:, t], mask_by_hand(own[j, t], band))


def test_bands_are_multiplied_by_the_sum_of_their_masks():
    """The transform of what it sees, where nothing was padded; all masks a half of two prompts change nothing."""
    levels = [x[..., :4, :4] for x in pyramid()]
    prompted = PromptedPyramid([[(3, 1, 1)] * 6, (5, 4, 4), (4, 4, 4)])
    masks = prompts(prompts=3, scales=2)(levels)
    for level, (x, own) in enumerate(zip(levels, prompted([masks, *levels]))):
        assert own.shape == x.shape
        for mask, band, found in zip(masks[3 * level :], haar(x, 2), haar(own, 2)):
            weight = mask.sum(1)[:, None, None] if band.dim() == 5 else mask.sum(1)[:, None]
            torch.testing.assert_close(found, weight * band)
    halves = [torch.full_like(mask[:, :2], 0.5) for mask in masks]
    torch.testing.assert_close(prompted([halves, *levels]), levels)
    odd = pyramid()
    torch.testing.assert_close(prompted([[torch.full_like(m[:, :2], 0.5) for m in prompts(scales=2)(odd)], *odd]), odd)


def test_a_head_sees_them():
    levels, seen, shapes = pyramid(), [], [[(3, 1, 1)] * 6, *SHAPES]
    masks = prompts(prompts=3, scales=2)(levels)
    found = PromptedHead(lambda maps: seen.append(maps) or ['logits'], shapes)([masks, *levels])
    assert found == ['logits'] and all(map(torch.equal, seen[0], PromptedPyramid(shapes)([masks, *levels])))


def test_prompts_learn_from_what_they_let_through():
    connector, levels = prompts(), pyramid()
    found = PromptedPyramid([[(6, 1, 1)] * 8, *SHAPES])([connector(levels), *levels])
    sum(x.square().sum() for x in found).backward()
    assert all((own.grad.abs().amax((1, 2)) > 0).all() for own in connector.prompts)  # of every band


@pytest.mark.parametrize(
    ('build', 'words'),
    [
        (lambda: FrequencyPrompt(SHAPES, prompts=1), 'prompts=1 and scales=3, but it needs 2 prompts'),
        (lambda: FrequencyPrompt(SHAPES, scales=0), 'scales=0'),
        (
            lambda: FrequencyPrompt((5, 8, 6)),
            r"`source` must name levels of a network that runs without data: \['teacher0.f\*'\]",
        ),
        (lambda: FrequencyPrompt([None, None]), 'must name levels'),
        (
            lambda: PromptedHead(None, SHAPES),
            'PromptedHead: `source` must name the masks of a FrequencyPrompt and then',
        ),
        (lambda: PromptedPyramid([[(6, 1, 1)] * 7, *SHAPES]), 'PromptedPyramid: `source` must name the masks'),
    ],
)
def test_refused(build, words):
    with pytest.raises(UsageError, match=words):
        build()
