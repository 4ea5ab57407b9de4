"""Features weighed by a teacher's queries: place by place in float64, and its slopes."""

import math

import pytest
import torch
from torchvision.ops import box_iou

from shake_mm.losses import TargetAwareLoss, query_quality, target_aware
from shake_mm.losses.queries import Layer, Objects

from .test_matched_query import BOXES, LABELS, SHAPES, layers, objects
from .test_query_box import corners

SIZES, WIDTH, QUERIES = [(3, 2), (2, 1)], 4, 5


def maps(seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, WIDTH, *size, generator=generator, dtype=torch.float64) for size in SIZES]


def states(number):
    generator = torch.Generator().manual_seed(7)
    return list(torch.randn(number, 2, QUERIES, WIDTH, generator=generator, dtype=torch.float64))


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / math.sqrt(sum(x * x for x in a) * sum(x * x for x in b))


def quality(logits, boxes, gamma):
    """Query by query, of two images."""
    rows = []
    for n, (_, own) in enumerate(objects()):
        score = [1 / (1 + math.exp(-max(row))) for row in logits[n].tolist()]
        overlap = box_iou(corners(boxes[n]), corners(own)).amax(1).tolist()
        rows.append([c**gamma * o ** (1 - gamma) for c, o in zip(score, overlap)])
    return rows


def by_hand(mine, its, queries, rows):
    total, slope = 0.0, torch.zeros_like(mine)
    count = mine.numel()
    for n in range(len(mine)):
        height, width = mine.shape[2:]
        places = [(y, x) for y in range(height) for x in range(width)]
        looks = {
            (y, x): max(
                0.01, sum(q * cosine(its[n, :, y, x].tolist(), s.tolist()) for q, s in zip(rows[n], queries[n]))
            )
            for y, x in places
        }
        for (y, x), look in looks.items():
            weight = (look / max(looks.values())) ** 2
            total += weight * (its[n, :, y, x] - mine[n, :, y, x]).square().sum().item() / count
            slope[n, :, y, x] = 2 * weight * (mine[n, :, y, x] - its[n, :, y, x]) / count
    return total, slope


@pytest.mark.parametrize('gamma', [0.5, 0.2])
def test_formula(gamma):
    """Of two levels and two layers of the decoder."""
    mine, its, decoder = maps(0), maps(1), layers(2, QUERIES, 1)
    leaves = [x.clone().requires_grad_() for x in mine]
    value = TargetAwareLoss(gamma, loss_weight=0.7)(leaves, [*its, states(2), *decoder], BOXES, LABELS, SHAPES)
    total, slopes = 0.0, [torch.zeros_like(x) for x in mine]
    for layer in range(2):
        rows = quality(decoder[0][layer], decoder[1][layer], gamma)
        for level in range(2):
            one, slope = by_hand(mine[level], its[level], states(2)[layer], rows)
            total, slopes[level] = total + one, slopes[level] + slope
    assert value.item() == pytest.approx(0.7 * total, rel=1e-5)
    for found, wanted in zip(torch.autograd.grad(value, leaves), slopes):
        torch.testing.assert_close(found, 0.7 * wanted, rtol=1e-5, atol=1e-9)


def test_quality_where_there_are_no_objects_is_the_score_s():
    (logits,), (boxes,) = layers(1, QUERIES, 0)
    nothing = [Objects(torch.zeros(0, dtype=torch.long), torch.zeros(0, 4))] * 2
    found = query_quality(Layer(logits, boxes), nothing, 'softmax', 0.5)
    torch.testing.assert_close(found, logits.softmax(-1)[..., :-1].amax(-1).sqrt())


def test_equal_maps_lose_nothing_and_the_teacher_s_get_no_gradient():
    mine, its, query = maps(0)[0].requires_grad_(), maps(1)[0].requires_grad_(), states(1)[0].requires_grad_()
    row = torch.rand(2, QUERIES)
    assert target_aware(mine, mine, query, row).item() == 0
    target_aware(mine, its, query, row).backward()
    assert mine.grad.any() and its.grad is None and query.grad is None
