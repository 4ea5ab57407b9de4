"""FGD against its formulas, place by place in float64, value and gradient, and its masks on boxes of every kind."""

import math

import pytest
import torch
from torch.nn import functional as F

from shake_mm.losses import FGDLoss, focal_distillation
from shake_mm.losses.fgd import attention, scale_masks

IMAGE, SIZE = (48, 80), (6, 10)
BOXES = [
    torch.tensor([[4.0, 6, 30, 41], [9, 9, 22, 20], [70, 40, 80, 48]]),  # one in another, one at the border
    torch.zeros(0, 4),
]


def masks_by_hand(boxes):
    """Eq. 4 and 5: rows and columns counted one by one."""
    height, width = SIZE
    fg = torch.zeros(height, width, dtype=torch.float64)
    for x1, y1, x2, y2 in boxes.tolist():
        left, right = math.floor(x1 / IMAGE[1] * width), math.ceil(x2 / IMAGE[1] * width)
        top, bottom = math.floor(y1 / IMAGE[0] * height), math.ceil(y2 / IMAGE[0] * height)
        for y in range(top, min(bottom, height - 1) + 1):
            for x in range(left, min(right, width - 1) + 1):
                fg[y, x] = max(fg[y, x], 1 / ((bottom - top + 1) * (right - left + 1)))
    bg = (fg == 0).double()
    return fg, bg / max(bg.sum(), 1)


def test_masks():
    fg, bg = scale_masks(BOXES, IMAGE, SIZE)
    for i, boxes in enumerate(BOXES):
        wanted = masks_by_hand(boxes)
        torch.testing.assert_close(fg[i].double(), wanted[0], rtol=1e-6, atol=0)
        torch.testing.assert_close(bg[i].double(), wanted[1], rtol=1e-6, atol=0)
    assert fg[1].sum() == 0 and bg[1].sum().item() == pytest.approx(1)
    everywhere = scale_masks([torch.tensor([[0.0, 0, 80, 48]])], IMAGE, SIZE)
    assert (everywhere[0] > 0).all() and (everywhere[1] == 0).all()


def attention_by_hand(x, tau):
    """Eq. 6 to 9 of one image."""
    channels, height, width = x.shape
    place = torch.stack([torch.stack([x[:, i, j].abs().sum() / channels for j in range(width)]) for i in range(height)])
    channel = torch.stack([x[c].abs().sum() / (height * width) for c in range(channels)])
    e, f = (place / tau).exp(), (channel / tau).exp()
    return height * width * e / e.sum(), channels * f / f.sum()


def focal_by_hand(feature, target, tau, alpha, beta, gamma):
    """Eq. 10 to 12, with sums over everything."""
    total = feature.new_zeros(())
    for s, t, boxes in zip(feature, target, BOXES):
        fg, bg = masks_by_hand(boxes)
        (place, channel), (own_place, own_channel) = attention_by_hand(t, tau), attention_by_hand(s, tau)
        for c in range(len(s)):
            square = place * channel[c] * (t[c] - s[c]) ** 2
            total = total + alpha * (fg * square).sum() + beta * (bg * square).sum()
        total = total + gamma * ((own_place - place).abs().sum() + (own_channel - channel).abs().sum())
    return total / len(feature)


def draw(seed=0, channels=4):
    generator = torch.Generator().manual_seed(seed)
    feature, target = torch.randn(2, 2, channels, *SIZE, generator=generator, dtype=torch.float64)
    return feature.requires_grad_(), target


def close(found, wanted, feature):
    for one, other in (
        (found, wanted),
        (torch.autograd.grad(x, feature, retain_graph=True)[0] for x in (found, wanted)),
    ):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize('weights', [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1e-1, 5e-2, 1e-2)])
def test_focal_distillation(weights):
    feature, target = draw()
    masks = (torch.stack(side) for side in zip(*map(masks_by_hand, BOXES)))
    found = focal_distillation(feature, target, *masks, 0.5, *weights)
    close(found, focal_by_hand(feature, target, 0.5, *weights), feature)


def context_by_hand(block, x):
    """Eq. 13: F + W2 relu(LN(W1 sum_j softmax(W_k F)_j F_j))."""
    rows = []
    for image in x:
        flat = image.flatten(1)
        scores = block.pool.weight.flatten() @ flat + block.pool.bias
        pooled = flat @ (scores.exp() / scores.exp().sum())
        hidden = block.transform[0].weight.flatten(1) @ pooled + block.transform[0].bias
        hidden = (hidden - hidden.mean()) / (hidden.var(correction=0) + 1e-5).sqrt()
        norm = block.transform[1]
        hidden = F.relu(hidden * norm.weight.flatten() + norm.bias.flatten())
        rows.append(image + (block.transform[3].weight.flatten(1) @ hidden + block.transform[3].bias)[:, None, None])
    return torch.stack(rows)


def lively(loss):
    generator = torch.Generator().manual_seed(3)
    for parameter in loss.parameters():
        parameter.data.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return loss.double()


@pytest.mark.parametrize('channels', [4, 3])
def test_the_whole(channels):
    """Also with the 1x1 convolution of other widths, in front of everything."""
    feature, _ = draw(channels=channels)
    _, target = draw(1)
    loss = lively(FGDLoss(channels, 4, tau=0.7, alpha=0.1, beta=0.2, gamma=0.3, lam=0.4, loss_weight=1.5))
    found = loss(feature, target, BOXES, IMAGE)
    x = feature
    if channels != 4:
        x = torch.einsum('nchw,dc->ndhw', feature, loss.align.weight[:, :, 0, 0]) + loss.align.bias[:, None, None]
    difference = context_by_hand(loss.student_context, x) - context_by_hand(loss.teacher_context, target)
    wanted = focal_by_hand(x, target, 0.7, 0.1, 0.2, 0.3) + 0.4 * (difference**2).sum() / 2
    close(found, 1.5 * wanted, feature)


def test_at_first_equal_features_are_all_that_is_wanted():
    feature, _ = draw()
    value = FGDLoss(4, 4).double()(feature, feature.detach(), BOXES, IMAGE)
    value.backward()
    assert value == 0 and feature.grad.abs().max() == 0


def test_both_contexts_and_the_student_learn_and_the_teacher_does_not():
    feature, target = draw()
    loss = lively(FGDLoss(4, 4))
    target.requires_grad_()
    loss(feature, target, BOXES, IMAGE).backward()
    assert target.grad is None and feature.grad.abs().max() > 0
    assert all(p.grad.abs().max() > 0 for name, p in loss.named_parameters() if 'pool.bias' not in name)


def test_attention_has_a_mean_of_one():
    spatial, channel = attention(draw()[1], 0.5)
    torch.testing.assert_close(spatial.mean((1, 2)), torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(channel.mean(1), torch.ones(2, dtype=torch.float64))
