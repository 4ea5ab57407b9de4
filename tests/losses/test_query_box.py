"""The distance of boxes that answer the same queries, box by box in float64, against torchvision's, and its slopes."""

import pytest
import torch
from torchvision.ops import generalized_box_iou

from shake_mm.losses import QueryBoxLoss

QUERIES = 4


def boxes(layers, seed):
    """Centers and sizes, some apart, some in each other."""
    generator = torch.Generator().manual_seed(seed)
    centers, sizes = torch.rand(2, layers, 2, QUERIES, 2, generator=generator, dtype=torch.float64)
    return list(torch.cat([0.2 + 0.6 * centers, 0.1 + 0.4 * sizes], dim=-1))


def corners(row):
    x, y, w, h = row.unbind(-1)
    return torch.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], -1)


def by_hand(mine, its, weight, l1, giou):
    total = torch.zeros((), dtype=torch.float64)
    for a, b, w in zip(mine.flatten(0, 1), its.flatten(0, 1), weight.flatten()):
        overlap = generalized_box_iou(corners(a)[None], corners(b)[None])[0, 0]
        total = total + w * (l1 * sum(abs(x - y) for x, y in zip(a, b)) + giou * (1 - overlap))
    return total


@pytest.mark.parametrize('weighed', [True, False])
@pytest.mark.parametrize('normalize', ['weights', 'sum'])
@pytest.mark.parametrize('layers', ['last', 'same'])
def test_formula(layers, normalize, weighed):
    mine, its = ([x.requires_grad_() for x in boxes(2, seed)] for seed in (0, 1))
    seen = [torch.randn(2, QUERIES, 3, dtype=torch.float64) for _ in range(2)]
    loss = QueryBoxLoss(4.0, 3.0, 'softmax', layers, normalize, loss_weight=0.7)
    found = loss(mine, [x.detach() for x in its], seen if weighed else None)
    wanted = 0.0
    for i, k in [(i, i if layers == 'same' else 1) for i in range(2)]:
        weight = seen[k].softmax(-1)[..., :2].amax(-1) if weighed else torch.ones(2, QUERIES, dtype=torch.float64)
        weight = weight / weight.sum() if normalize == 'weights' else weight
        wanted = wanted + 0.7 * by_hand(mine[i], its[k].detach(), weight, 4.0, 3.0)
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=0)
    for slope, expected in zip(*(torch.autograd.grad(x, mine, retain_graph=True) for x in (found, wanted))):
        torch.testing.assert_close(slope, expected, rtol=1e-6, atol=1e-12)


def test_equal_boxes_lose_nothing_and_targets_get_no_gradient():
    mine, its = ([x.requires_grad_() for x in boxes(1, seed)] for seed in (0, 1))
    assert abs(QueryBoxLoss()(mine, mine).item()) < 1e-6
    QueryBoxLoss()(mine, its).backward()
    assert mine[0].grad.abs().max() > 0 and its[0].grad is None
