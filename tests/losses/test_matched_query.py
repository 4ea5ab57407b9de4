"""Matched predictions: the least assignment found by trying all of them, in float64, and slopes by hand."""

from itertools import permutations

import pytest
import torch
from torchvision.ops import generalized_box_iou

from shake_mm.losses import MatchedQueryLoss, matched_query
from shake_mm.losses.queries import Layer, Objects, assign, box_costs, object_queries

from .test_query_box import corners

CLASSES = 3
SHAPES = [(40, 80), (40, 60)]
BOXES = [torch.tensor([[8.0, 4.0, 40.0, 30.0], [50.0, 10.0, 78.0, 38.0]]), torch.tensor([[5.0, 5.0, 25.0, 35.0]])]
LABELS = [torch.tensor([2, 0]), torch.tensor([1])]


def layers(number, queries, seed, channels=CLASSES):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(number, 2, queries, channels, generator=generator, dtype=torch.float64)
    centers, sizes = torch.rand(2, number, 2, queries, 2, generator=generator, dtype=torch.float64)
    return [list(logits), list(torch.cat([0.2 + 0.6 * centers, 0.1 + 0.4 * sizes], dim=-1))]


def objects():
    found = []
    for box, label, (h, w) in zip(BOXES, LABELS, SHAPES):
        left, top, right, bottom = (box.double() / torch.tensor([w, h, w, h])).unbind(1)
        found.append((label, torch.stack([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top], 1)))
    return found


def distance(a, b):
    return 5 * (a - b).abs().sum() + 2 * (1 - generalized_box_iou(corners(a)[None], corners(b)[None])[0, 0])


def divergence(mine, its, activation):
    if activation == 'softmax':
        p, q = mine.softmax(-1), its.softmax(-1)
        return (q * (q / p).log()).sum()
    p, q = mine.sigmoid(), its.sigmoid()
    return (q * (q / p).log() + (1 - q) * ((1 - q) / (1 - p)).log()).sum()


def least(rows, columns, cost):
    """All ways to give each row a column of its own; the pairs of the cheapest."""
    if len(rows) > len(columns):
        return [(row, column) for column, row in least(columns, rows, lambda column, row: cost(row, column))]
    with torch.no_grad():
        table = {(row, column): float(cost(row, column)) for row in rows for column in columns}
    ways = [list(zip(rows, chosen)) for chosen in permutations(columns, len(rows))]
    return min(ways, key=lambda pairs: sum(table[pair] for pair in pairs))


def positives(logits, boxes, number, activation):
    labels, own = objects()[number]
    scores = logits.sigmoid() if activation == 'sigmoid' else logits.softmax(-1)
    pairs = least(range(len(labels)), range(len(boxes)), lambda j, i: distance(boxes[i], own[j]) - scores[i, labels[j]])
    return [i for _, i in pairs]


def by_hand(mine, its, activation):
    """A layer of both: logits and boxes of two images."""
    sums, numbers = [0.0, 0.0], [0, 0]
    for n in range(2):
        logits, theirs, boxes, others = mine[0][n], its[0][n], mine[1][n], its[1][n]
        known = positives(theirs, others, n, activation)
        rest = [i for i in range(len(others)) if i not in known]

        def both(i, j, a=boxes, b=others, c=logits, d=theirs):
            return divergence(c[j], d[i], activation) + distance(a[j], b[i])

        pairs = least(known, range(len(boxes)), both)
        sums[0] = sums[0] + sum(both(*pair) for pair in pairs)
        free = [j for j in range(len(boxes)) if j not in [column for _, column in pairs]]
        far = least(rest, free, lambda i, j, a=boxes, b=others: distance(a[j], b[i]))
        sums[1] = sums[1] + sum(distance(boxes[j], others[i]) for i, j in far)
        numbers = [numbers[0] + len(known), numbers[1] + len(rest)]
    return sums[0] / numbers[0] + sums[1] / numbers[1]


@pytest.mark.parametrize('how', ['same', 'last'])
@pytest.mark.parametrize('activation', ['sigmoid', 'softmax'])
@pytest.mark.parametrize('queries', [5, 4])
def test_formula(queries, activation, how):
    """Also where the student has fewer queries than the teacher."""
    mine, its = layers(2, queries, 0), layers(2, 5, 1)
    leaves = [x.clone().requires_grad_() for side in mine for x in side]
    value = MatchedQueryLoss(activation, how, 0.7)([leaves[:2], leaves[2:]], its, BOXES, LABELS, SHAPES)
    pairs = [(i, i if how == 'same' else 1) for i in range(2)]
    wanted = 0.7 * sum(by_hand((leaves[i], leaves[2 + i]), (its[0][k], its[1][k]), activation) for i, k in pairs)
    torch.testing.assert_close(value, wanted, rtol=1e-6, atol=0)  # objects are in float32
    for found, expected in zip(*(torch.autograd.grad(x, leaves, retain_graph=True) for x in (value, wanted))):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize('queries', [5, 4])
def test_all_queries_may_be_positive(queries):
    """As in the authors' code: assigned by classes and boxes, and compared in both, whatever objects there are."""
    mine, its = layers(1, queries, 0), layers(1, 5, 1)
    leaves = [x.clone().requires_grad_() for side in mine for x in side]
    value = MatchedQueryLoss(positive='all')(leaves, its, BOXES, LABELS, SHAPES)
    total = 0.0
    for n in range(2):

        def both(i, j, n=n):
            near = distance(leaves[1][n, j], its[1][0][n, i])
            return divergence(leaves[0][n, j], its[0][0][n, i], 'sigmoid') + near

        total = total + sum(both(*pair) for pair in least(range(5), range(queries), both))
    torch.testing.assert_close(value, total / 10, rtol=1e-9, atol=0)
    for found, expected in zip(*(torch.autograd.grad(x, leaves, retain_graph=True) for x in (value, total / 10))):
        torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-10)
    nothing = [torch.zeros(0, 4)] * 2, [torch.zeros(0, dtype=torch.long)] * 2
    assert MatchedQueryLoss(positive='all')(leaves, its, *nothing, SHAPES) == value


def test_permuted_queries_lose_nothing():
    """What a set predicts has no order."""
    its = layers(2, 6, 1)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    mine = [[x[:, order] for x in side] for side in its]
    assert MatchedQueryLoss()(mine, its, BOXES, LABELS, SHAPES).item() == pytest.approx(0, abs=1e-5)
    assert MatchedQueryLoss()(layers(2, 6, 0), its, BOXES, LABELS, SHAPES) > 1


def test_images_without_objects_have_no_positive_queries():
    mine, its = layers(1, 4, 0), layers(1, 4, 1)
    nothing = [torch.zeros(0, 4)] * 2, [torch.zeros(0, dtype=torch.long)] * 2
    leaves = [x.clone().requires_grad_() for side in mine for x in side]
    value = MatchedQueryLoss()(leaves, its, *nothing, SHAPES)
    value.backward()
    boxes = [least(range(4), range(4), lambda i, j, n=n: distance(mine[1][0][n, j], its[1][0][n, i])) for n in (0, 1)]
    wanted = sum(distance(mine[1][0][n, j], its[1][0][n, i]) for n in (0, 1) for i, j in boxes[n]) / 8
    assert value.item() == pytest.approx(float(wanted), rel=1e-9)
    assert not leaves[0].grad.any() and leaves[1].grad.any()


def test_the_teacher_learns_nothing():
    mine, its = layers(1, 4, 0), [[x.requires_grad_() for x in side] for side in layers(1, 4, 1)]
    mine[0][0].requires_grad_()
    layer = Layer(mine[0][0], mine[1][0]), Layer(its[0][0], its[1][0])
    matched_query(*layer, [torch.tensor([0, 2]), torch.tensor([1])]).backward()
    assert mine[0][0].grad.any() and its[0][0].grad is None and its[1][0].grad is None


def test_an_assignment_is_the_least():
    costs = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    rows, columns = assign(costs)
    assert list(zip(rows.tolist(), columns.tolist())) == least(range(3), range(5), lambda i, j: costs[i, j])
    rows, columns = assign(torch.zeros(0, 4))
    assert len(rows) == len(columns) == 0


def test_more_objects_than_queries():
    (logits,), (boxes,) = layers(1, 2, 0)
    label, own = torch.tensor([0, 1, 2]), layers(1, 3, 3)[1][0][0]
    queries, chosen = object_queries(Layer(logits[0], boxes[0]), Objects(label, own), 'sigmoid')
    assert queries.tolist() == [0, 1] and len(set(chosen.tolist())) == 2
    torch.testing.assert_close(box_costs(boxes[0], own)[1, 2], distance(boxes[0, 1], own[2]))
