"""The divergence of answers to the same queries, query by query in float64, and its slopes."""

import math

import pytest
import torch

from shake_mm.losses import QueryKLLoss, query_kl

QUERIES, CLASSES = 4, 3


def answers(layers, seed, classes=CLASSES):
    generator = torch.Generator().manual_seed(seed)
    return [2 * torch.randn(2, QUERIES, classes, generator=generator, dtype=torch.float64) for _ in range(layers)]


def softmax(row, tau):
    exponentials = [math.exp(x / tau) for x in row]
    return [x / sum(exponentials) for x in exponentials]


def confidence(row, activation):
    return 1 / (1 + math.exp(-max(row))) if activation == 'sigmoid' else max(softmax(row, 1)[:-1])


def by_hand(mine, its, seen, tau, activation, normalize):
    """The value, and its slopes: tau times the difference of the probabilities, weighed."""
    total, slope = 0.0, torch.zeros_like(mine)
    weight = [[confidence(row, activation) for row in image] for image in seen.tolist()]
    norm = sum(map(sum, weight)) if normalize == 'weights' else 1
    for n in range(2):
        for i in range(QUERIES):
            p, q = softmax(mine[n, i].tolist(), tau), softmax(its[n, i].tolist(), tau)
            w = weight[n][i] / norm
            total += w * tau**2 * sum(b * math.log(b / a) for a, b in zip(p, q))
            slope[n, i] = w * tau * torch.tensor([a - b for a, b in zip(p, q)])
    return total, slope


@pytest.mark.parametrize('normalize', ['weights', 'sum'])
@pytest.mark.parametrize('layers', ['last', 'same'])
@pytest.mark.parametrize('activation', ['sigmoid', 'softmax'])
def test_formula(activation, layers, normalize):
    """Each layer of the student's against the teacher's last, or that of its number; so are the weights."""
    mine, its, seen = answers(2, 0), answers(2, 1), answers(2, 2)
    loss = QueryKLLoss(3.0, activation, layers, normalize, loss_weight=0.7)
    leaves = [x.clone().requires_grad_() for x in mine]
    found = loss(leaves, its, seen)
    pairs = [(i, i if layers == 'same' else 1) for i in range(2)]
    wanted = [by_hand(mine[i], its[k], seen[k], 3.0, activation, normalize) for i, k in pairs]
    assert found.item() == pytest.approx(0.7 * sum(value for value, _ in wanted), rel=1e-12)
    for slope, (_, expected) in zip(torch.autograd.grad(found, leaves), wanted):
        torch.testing.assert_close(slope, 0.7 * expected, rtol=1e-6, atol=1e-12)  # π rounds to float32 in a list


def test_the_target_weighs_where_there_is_no_reference():
    mine, its = answers(3, 0), answers(2, 1)
    assert torch.equal(QueryKLLoss()(mine, its), QueryKLLoss()(mine, its, its))


def test_target_and_weights_get_no_gradient():
    mine, its = ([x.requires_grad_() for x in answers(1, seed)] for seed in (0, 1))
    QueryKLLoss()(mine, its).backward()
    assert mine[0].grad.abs().max() > 0 and its[0].grad is None


def test_equal_answers_lose_nothing_and_the_doubled_batch_no_more():
    mine, its = answers(2, 0), answers(2, 1)
    assert QueryKLLoss()(mine, mine[1:]).item() > 0
    assert abs(QueryKLLoss(layers='same')(mine, mine).item()) < 1e-12
    doubled = QueryKLLoss()([torch.cat([x, x]) for x in mine], [torch.cat([x, x]) for x in its])
    torch.testing.assert_close(doubled, QueryKLLoss()(mine, its))
    weights = torch.ones(2, QUERIES, dtype=torch.float64)
    torch.testing.assert_close(
        query_kl(2 * mine[0], 2 * its[0], weights, 2.0), 4 * query_kl(mine[0], its[0], weights, 1.0)
    )
