"""RKDLoss against loops over pairs and triples, also where float32 Gram matrices would fail."""

import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.losses import RKDLoss, relational_kd, rkd

from .compare import ROWS, agree, pair


def smooth(x):
    return 0.5 * x**2 if x.abs() < 1 else x.abs() - 0.5


def distance(a, b):
    return 0.0 * a.sum() if a.equal(b) else ((a - b) ** 2).sum().sqrt()


def distances(x):
    n = len(x)
    every = [distance(x[i], x[j]) for i in range(n) for j in range(n)]
    positive = [d for d in every if d > 0]
    return [d * len(positive) / sum(positive) for d in every] if positive else every


def cosine(a, b):
    zero = a.eq(0).all() or b.eq(0).all()
    return 0.0 * a.sum() if zero else (a * b).sum() / ((a**2).sum().sqrt() * (b**2).sum().sqrt())


def angles(x):
    n = len(x)
    return [cosine(x[j] - x[i], x[k] - x[i]) for i in range(n) for j in range(n) for k in range(n)]


def reference(s, t, distance_weight=25.0, angle_weight=50.0):
    s, t = s.flatten(1), t.flatten(1)
    n = len(s)
    pairs = sum(smooth(a - b) for a, b in zip(distances(s), distances(t))) / n**2
    triples = sum(smooth(a - b) for a, b in zip(angles(s), angles(t))) / n**3
    return distance_weight * pairs + angle_weight * triples


@pytest.mark.parametrize('shapes', ROWS)
def test_value_and_gradient(shapes):
    agree(relational_kd, reference, *pair(*shapes))


@pytest.mark.parametrize('weights', [(1.0, 0.0), (0.0, 1.0)])
def test_each_part(weights):
    agree(lambda s, t: relational_kd(s, t, *weights), lambda s, t: reference(s, t, *weights), *pair((4, 3), (4, 2)))


def test_both_branches_of_smooth_l1():
    """An outlier makes one relative distance differ by more than 1."""
    s, t = pair((5, 3), (5, 3))
    s.data[0] += 30
    assert max((a - b).abs() for a, b in zip(distances(s), distances(t))) > 1
    agree(relational_kd, reference, s, t)


def test_gradcheck():
    s, t = pair((4, 3), (4, 5))
    assert torch.autograd.gradcheck(lambda x: relational_kd(x, t), (s,))


def test_blocks_do_not_change_the_result(monkeypatch):
    s, t = pair((5, 3), (5, 4))
    whole = relational_kd(s, t)
    (gradient,) = torch.autograd.grad(whole, s)
    monkeypatch.setattr(rkd, 'BLOCK', 50)
    blocks = relational_kd(s, t)
    torch.testing.assert_close(blocks, whole)
    torch.testing.assert_close(torch.autograd.grad(blocks, s)[0], gradient)


@pytest.mark.parametrize('gap', [1e-2, 1e-4])
@pytest.mark.parametrize('offset', [0.0, 50.0])
def test_nearly_equal_samples_in_float32(offset, gap):
    """The exact distances of the float32 features, though they lie far from the origin and close to each other."""
    s, t = pair((4, 8), (4, 6))
    s, t = s.detach() + offset, t + offset
    s[1], t[3] = s[0] + gap * torch.randn(8), t[2] + gap * torch.randn(6)
    s, t = s.float(), t.float()
    agree(relational_kd, reference, s.double().requires_grad_(), t.double(), exact=1e-7)


@pytest.mark.parametrize('value', [0.0, 0.1])
@pytest.mark.parametrize('n', [2, 3, 7])
def test_equal_samples_have_distance_zero(n, value):
    """Rounding must not make directions out of nothing, whatever the batch size is divided by."""
    s = torch.full((n, 33), value).requires_grad_()
    assert (rkd.squared_distances(s) == 0).all()
    loss = relational_kd(s, torch.randn(n, 5))
    loss.backward()
    assert loss.isfinite() and (s.grad == 0).all()


@pytest.mark.parametrize('offset', [0.0, 100.0])
def test_copies_have_distance_zero_however_long(offset):
    """A product of matrices need not round two equal rows alike."""
    half = torch.randn(16, 16384) + offset
    squared = rkd.squared_distances(torch.cat([half, half]))
    assert (squared[:16, 16:].diagonal() == 0).all() and (squared > 0).sum() == 32 * 30


def test_some_equal_samples():
    s, t = pair((5, 3), (5, 4))
    s.data[3], t[2] = s.data[1], t[0]
    agree(relational_kd, reference, s, t)


def test_no_long_tensor_of_pairs_is_kept():
    saved = []
    s, t = torch.randn(8, 1000, requires_grad=True), torch.randn(8, 1000)
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x.numel()) or x, lambda x: x):
        relational_kd(s, t)
    assert max(saved) <= 8 * 1000


def test_scale_and_place_do_not_matter():
    s, t = pair((5, 3), (5, 4))
    torch.testing.assert_close(relational_kd(s, 3 * t + 1), relational_kd(s, t))


def test_needs_samples():
    with pytest.raises(UsageError, match='RKDLoss.*same batch'):
        RKDLoss()(torch.zeros(2, 3), torch.zeros(3, 3))
