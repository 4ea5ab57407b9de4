"""Distances of boxes prior by prior in float64, against their definitions and mmdet's losses, and their slopes."""

import math

import pytest
import torch

from shake_mm.losses import DenseBoxLoss, Places, box_distance

PRIORS = [(2, 6), (2, 2)]
LOGITS = [(2, 6, 1, 3), (2, 6, 1, 1)]  # two anchors of three classes


def boxes(seed):
    """Some apart, some in each other."""
    generator = torch.Generator().manual_seed(seed)
    levels = []
    for n, p in PRIORS:
        corner, size = torch.rand(2, n, p, 2, generator=generator, dtype=torch.float64)
        levels.append(torch.cat([20 * corner, 20 * corner + 2 + 15 * size], dim=-1))
    return levels


def places():
    weight = [torch.ones(2, 6), torch.tensor([[1.0, 0.0], [0.0, 1.0]])]
    return Places([level > 2 for level in weight], weight, torch.tensor(3.0))


def reference():
    generator = torch.Generator().manual_seed(9)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in LOGITS]


def distance(a, b, kind):
    if kind == 'l1':
        return sum(abs(x - y) for x, y in zip(a, b))
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    union = sum((x[2] - x[0]) * (x[3] - x[1]) for x in (a, b)) - shared
    around = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return -math.log(max(shared / union, 1e-6)) if kind == 'iou' else 1 - shared / union + (around - union) / around


def by_hand(mine, its, kind, normalize):
    total = weights = 0.0
    for a, b, logits, valid in zip(mine, its, reference(), places().weight):
        for i in range(a.shape[0]):
            for p in range(a.shape[1]):
                place, anchor = divmod(p, 2)
                scores = logits[i, 3 * anchor : 3 * anchor + 3, 0, place]
                weight = valid[i, p].item() / (1 + math.exp(-max(scores.tolist())))
                total, weights = total + weight * distance(a[i, p].tolist(), b[i, p].tolist(), kind), weights + weight
    return total / (3 if normalize == 'positives' else weights)


@pytest.mark.parametrize('normalize', ['positives', 'weights'])
@pytest.mark.parametrize('kind', ['giou', 'iou', 'l1'])
def test_formula(kind, normalize):
    mine, its = boxes(0), boxes(1)
    loss = DenseBoxLoss(kind, normalize, loss_weight=0.7)
    assert loss(mine, its, places(), reference()).item() == pytest.approx(0.7 * by_hand(mine, its, kind, normalize))
    assert torch.autograd.gradcheck(
        lambda *levels: loss(list(levels), its, places(), reference()), [x.requires_grad_() for x in mine]
    )


@pytest.mark.parametrize('kind, theirs', [('giou', 'GIoULoss'), ('iou', 'IoULoss')])
def test_as_mmdet(kind, theirs):
    from mmdet.models import losses

    mine, its = (torch.cat(x, dim=1).float() for x in (boxes(0), boxes(1)))
    weight = torch.rand(mine.shape[:2])
    found = box_distance(mine, its, weight, kind)
    wanted = getattr(losses, theirs)(reduction='sum')(mine.flatten(0, 1), its.flatten(0, 1), weight.flatten())
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_without_a_reference_all_valid_priors_count():
    mine, its = boxes(0), boxes(1)
    found = DenseBoxLoss('l1')(mine, its, places())
    wanted = sum(((a - b).abs().sum(-1) * w).sum() for a, b, w in zip(mine, its, places().weight)) / 3
    torch.testing.assert_close(found, wanted)


def test_maps_are_read_as_rows_of_their_priors():
    maps = [torch.randn(2, 8, 1, 3), torch.randn(2, 8, 1, 1)]
    rows = [level.reshape(2, 2, 4, -1).permute(0, 3, 1, 2).reshape(2, -1, 4) for level in maps]
    zero = [torch.zeros_like(level) for level in rows]
    found = DenseBoxLoss('l1')(maps, [torch.zeros_like(level) for level in maps], places())
    torch.testing.assert_close(found, DenseBoxLoss('l1')(rows, zero, places()))
