"""FreeKD's distance and the likeness of masks, place by place in float64; who learns."""

import pytest
import torch
from torch.nn import functional as F

from shake_mm.losses import FreeKDLoss, MaskSimilarityLoss, frequency_distance, mask_similarity

SIZES = [(8, 6), (5, 4)]


def draw(seed=0, channels=3, sizes=SIZES):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, channels, *size, generator=generator, dtype=torch.float64) for size in sizes]


def masks_of(sizes=SIZES, prompts=3, scales=2):
    """Of each level: of what is left, which counts nothing, and of two scales."""
    generator, masks = torch.Generator().manual_seed(5), []
    for height, width in sizes:
        details = [(-(-height // 2**j), -(-width // 2**j)) for j in range(1, scales + 1)]
        masks += [torch.rand(2, prompts, *size, generator=generator, dtype=torch.float64) for size in details[-1:]]
        masks += [torch.rand(2, prompts, *size, generator=generator, dtype=torch.float64) for size in details]
    return masks


def kernels():
    """Haar's four of a 2x2 window: the mean, and the differences of rows, columns and diagonals."""
    plus, minus = torch.tensor([1.0, 1.0]).double() / 2**0.5, torch.tensor([1.0, -1.0]).double() / 2**0.5
    return [
        torch.outer(rows, columns) for rows, columns in ((plus, plus), (minus, plus), (plus, minus), (minus, minus))
    ]


def bands_by_hand(x, scales):
    """Details of each scale from the finest, by convolutions of a stride of two."""
    n, c = x.shape[:2]
    details = []
    for _ in range(scales):
        x = F.pad(x, (0, x.shape[-1] % 2, 0, x.shape[-2] % 2)).reshape(n * c, 1, *[s + s % 2 for s in x.shape[2:]])
        own = [F.conv2d(x, kernel[None, None], stride=2) for kernel in kernels()]
        x, *others = (band.view(n, c, *band.shape[2:]) for band in own)
        details.append(others)
    return details


def distance_by_hand(feature, target, masks):
    """Each of both split, every mask in turn, the mean absolute difference."""
    total = feature.new_zeros(())
    mine, its = (bands_by_hand(x, len(masks)) for x in (feature, target))
    for mask, own, other in zip(masks, mine, its):
        values = [(mask[:, t, None] * (a - b)).abs() for t in range(mask.shape[1]) for a, b in zip(own, other)]
        total = total + torch.stack(values).mean()
    return total


def close(found, wanted, features):
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-12)
    slopes = [torch.autograd.grad(value, features, retain_graph=True) for value in (found, wanted)]
    for one, other in zip(*slopes):
        assert one.abs().max() > 0
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-12)


def test_distance():
    for feature, target, masks in zip(draw(), draw(1), (masks_of()[1:3], masks_of()[4:])):
        feature.requires_grad_()
        close(frequency_distance(feature, target, masks), distance_by_hand(feature, target, masks), [feature])


def similarity_by_hand(mask):
    values = []
    for own in mask:
        for t, first in enumerate(own):
            for u, second in enumerate(own):
                if t != u:
                    values.append(2 * (first * second).sum() / ((first**2).sum() + (second**2).sum()))
    return sum(values) / len(values)


@pytest.mark.parametrize('prompts', [2, 4])
def test_similarity(prompts):
    masks = [mask.requires_grad_() for mask in masks_of(prompts=prompts)]
    for mask in masks:
        close(mask_similarity(mask), similarity_by_hand(mask), [mask])
    close(MaskSimilarityLoss(0.3)(masks), 0.3 * sum(map(similarity_by_hand, masks)), masks)
    alike = masks[0][:, :1].expand(-1, 3, -1, -1)
    assert mask_similarity(alike).item() == pytest.approx(1)


@pytest.mark.parametrize('channels', [3, 4])
def test_the_whole(channels):
    """Also with a convolution of each level in front, where the widths differ."""
    features, targets, masks = [x.requires_grad_() for x in draw(channels=channels)], draw(1), masks_of()
    loss = FreeKDLoss([channels] * 2, [3] * 2, whole=0.7, loss_weight=1.5).double()
    assert len(list(loss.parameters())) == (0 if channels == 3 else 4)
    wanted = 0
    for level, (x, target) in enumerate(zip(features, targets)):
        if channels != 3:
            layer = loss.align[level]
            x = torch.einsum('nchw,dc->ndhw', x, layer.weight[:, :, 0, 0]) + layer.bias[:, None, None]
        wanted = wanted + distance_by_hand(x, target, masks[3 * level + 1 : 3 * level + 3])
        wanted = wanted + 0.7 * ((x - target) ** 2).sum() / x.numel()
    close(loss(features, targets, masks), 1.5 * wanted, [*features, *loss.parameters()])


def test_only_the_student_learns():
    features, targets, masks = ([x.requires_grad_() for x in side] for side in (draw(channels=4), draw(1), masks_of()))
    loss = FreeKDLoss([4] * 2, [3] * 2).double()
    loss(features, targets, masks).backward()
    assert all(x.grad.abs().max() > 0 for x in (*features, *loss.parameters()))
    assert all(x.grad is None for x in (*targets, *masks))


def test_equal_features_are_all_that_is_wanted():
    features = [x.requires_grad_() for x in draw()]
    value = FreeKDLoss([3] * 2, [3] * 2)(features, [x.detach() for x in features], masks_of())
    value.backward()
    assert value == 0 and all(x.grad.abs().max() == 0 for x in features)
