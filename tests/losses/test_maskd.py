"""MasKD's distance under masks, mask by mask in float64; customized masks; who learns."""

import pytest
import torch

from shake_mm.losses import MasKDLoss, masked_distance, token_masks

SIZES = [(5, 4), (3, 2)]


def draw(seed=0, channels=3):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, channels, *size, generator=generator, dtype=torch.float64) for size in SIZES]


def found_in(seed=5, tokens=3, channels=3):
    """What the tokens found in two levels: masks, shares, tokens."""
    generator = torch.Generator().manual_seed(seed)
    masks = [torch.rand(2, tokens, *size, generator=generator, dtype=torch.float64) for size in SIZES]
    shares = [torch.rand(2, tokens, generator=generator, dtype=torch.float64) for _ in SIZES]
    own = [torch.randn(1, tokens, channels, generator=generator, dtype=torch.float64) for _ in SIZES]
    return [masks, shares, [x.expand(2, -1, -1) for x in own]]


def mask_by_hand(token, image):
    """Of one token in one image, place by place."""
    channels, height, width = image.shape
    rows = [
        torch.stack([1 / (1 + torch.exp(-(token * image[:, y, x]).sum())) for x in range(width)]) for y in range(height)
    ]
    return torch.stack(rows)


def distance_by_hand(feature, target, masks, shares):
    """Both maps times every mask in turn: the squared difference over the size of the mask, the mean of channels."""
    total = feature.new_zeros(())
    for n in range(len(feature)):
        for t in range(masks.shape[1]):
            mask = masks[n, t]
            of_channels = [
                ((mask * own - mask * its) ** 2).sum() / mask.sum() for own, its in zip(feature[n], target[n])
            ]
            total = total + shares[n, t] * sum(of_channels) / len(of_channels)
    return total / len(feature)


def close(found, wanted, leaves):
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)
    slopes = [torch.autograd.grad(value, leaves, retain_graph=True) for value in (found, wanted)]
    for one, other in zip(*slopes):
        assert one.abs().max() > 0
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_masks():
    (feature, _), tokens = draw(), found_in()[2][0][0].clone().requires_grad_()
    wanted = torch.stack([torch.stack([mask_by_hand(token, image) for token in tokens]) for image in feature])
    assert wanted.std() > 0.1
    weights = torch.rand_like(wanted)
    close((weights * token_masks(tokens, feature)).sum(), (weights * wanted).sum(), [tokens])
    torch.testing.assert_close(token_masks(tokens.expand(2, -1, -1), feature), wanted)


def test_distance():
    masks, shares, _ = found_in()
    for own, its, mask, share in zip(draw(), draw(1), masks, shares):
        own.requires_grad_()
        close(masked_distance(own, its, mask, share), distance_by_hand(own, its, mask, share), [own])


def whole_by_hand(loss, features, targets, found, customized):
    wanted = 0
    for layer, x, its, mask, share, tokens in zip(loss.align, features, targets, *found):
        own = torch.einsum('nchw,dc->ndhw', x, layer.weight[:, :, 0, 0]) + layer.bias[:, None, None]
        if customized:
            seen = own.detach()
            mask = mask * torch.stack([torch.stack([mask_by_hand(t, i) for t in tokens[0]]) for i in seen])
        wanted = wanted + distance_by_hand(own, its, mask, share)
    return wanted


@pytest.mark.parametrize('channels', [3, 4])
@pytest.mark.parametrize('customized', [False, True])
def test_the_whole(channels, customized):
    """A convolution in front also where the widths are equal; what the student sees of tokens gets no gradient."""
    features, targets, found = [x.requires_grad_() for x in draw(channels=channels)], draw(1), found_in()
    loss = MasKDLoss([channels] * 2, [3] * 2, customized_from=0 if customized else None, loss_weight=1.5).double()
    wanted = 1.5 * whole_by_hand(loss, features, targets, found, customized)
    close(loss(features, targets, found), wanted, [*features, *loss.parameters()])


def test_masks_are_customized_from_an_epoch_on():
    torch.manual_seed(0)
    features, targets, found = draw(), draw(1), found_in()
    loss = MasKDLoss([3] * 2, [3] * 2, customized_from=2).double()
    values = [loss(features, targets, found)]
    for epoch in (0, 1, 2, 5, 1):  # a resume may go back
        loss.enter_epoch(epoch)
        values.append(loss(features, targets, found))
    plain, customized = (whole_by_hand(loss, features, targets, found, told) for told in (False, True))
    assert (plain - customized).abs() > 0.01
    torch.testing.assert_close(torch.stack(values), torch.stack([plain] * 3 + [customized] * 2 + [plain]))


def test_only_the_student_learns():
    features, targets = ([x.requires_grad_() for x in side] for side in (draw(channels=4), draw(1)))
    found = [[x.clone().requires_grad_() for x in part] for part in found_in()]
    loss = MasKDLoss([4] * 2, [3] * 2, customized_from=0).double()
    loss(features, targets, found).backward()
    assert all(x.grad.abs().max() > 0 for x in (*features, *loss.parameters()))
    assert all(x.grad is None for part in (targets, *found) for x in part)


def test_masks_that_see_nothing_and_equal_features():
    features, (masks, shares, tokens) = draw(), found_in()
    nothing = [torch.zeros_like(mask) for mask in masks]
    loss = MasKDLoss([3] * 2, [3] * 2).double()
    assert loss(features, draw(1), [nothing, shares, tokens]) == 0
    for layer in loss.align:
        torch.nn.init.dirac_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    assert loss(features, features, [masks, shares, tokens]) == 0
