"""dense_kl against loops over levels, places, anchors and classes in float64, value and gradient."""

import math

import numpy as np
import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.losses import DenseKLLoss, dense_kl
from shake_mm.registry import MODELS

MAPS = {
    'two anchors, uneven levels': (3, [(2, 6, 3, 5), (2, 6, 2, 3), (2, 6, 1, 2)]),
    'one anchor, batch 1': (4, [(1, 4, 3, 2), (1, 4, 1, 1)]),
    'other anchors by level': (2, [(2, 6, 2, 2), (2, 4, 1, 3)]),
    'rows': (3, [(5, 3)]),
    'one row': (2, [(1, 2)]),
}
every_layout = pytest.mark.parametrize(('classes', 'shapes'), MAPS.values(), ids=MAPS)
every_kind = pytest.mark.parametrize('activation', ['sigmoid', 'softmax'])


def locations(classes, shape):
    """Index of the C channels of every location."""
    if len(shape) == 2:
        yield from ((n, slice(None)) for n in range(shape[0]))
        return
    n, channels, height, width = shape
    for index in np.ndindex(n, channels // classes, height, width):
        yield index[0], slice(index[1] * classes, (index[1] + 1) * classes), index[2], index[3]


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def softmax(x):
    e = [math.exp(v) for v in x]
    return np.array([v / sum(e) for v in e])


def divergence(a, b, tau, activation):
    """D of one location and its gradient with respect to a."""
    if activation == 'softmax':
        p, q = softmax(b / tau), softmax(a / tau)
        return tau**2 * sum(x * math.log(x / y) for x, y in zip(p, q)), tau * (q - p)
    value, gradient = 0.0, []
    for x, y in zip(a, b):
        p, q = sigmoid(y / tau), sigmoid(x / tau)
        value += tau**2 * (p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q)))
        gradient.append(tau * (q - p))
    return value, np.array(gradient)


def reference_loss(a, b, r, classes, tau, activation, weighting, gamma, threshold):
    """Value, and gradients by level."""
    total, weights, gradients = 0.0, 0.0, [np.zeros(x.shape) for x in a]
    for x, y, z, gradient in zip(a, b, r, gradients):
        for where in locations(classes, x.shape):
            score = max(map(sigmoid, z[where])) if activation == 'sigmoid' else 1 - softmax(z[where])[-1]
            weight = score**gamma if weighting == 'confidence' else 1.0
            weight = 0.0 if weight < threshold else weight
            value, slope = divergence(x[where], y[where], tau, activation)
            total, weights = total + weight * value, weights + weight
            gradient[where] += weight * slope
    return total / max(weights, 1), [g / max(weights, 1) for g in gradients]


def draw(shapes, seed=0, shift=0.0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) * 2 + shift for shape in shapes]


def tensors(arrays, dtype=torch.float64, learn=False):
    return [torch.tensor(x, dtype=dtype, requires_grad=learn) for x in arrays]


def agree(classes, shapes, activation, other=None, shift=0.0, **options):
    options = {'tau': 2.5, 'weighting': 'confidence', 'gamma': 2.0, 'threshold': 0.0, **options}
    a, b = draw(shapes), draw(shapes, 1, shift)
    value, gradients = reference_loss(a, b, other or b, classes, activation=activation, **options)
    x, y = tensors(a, learn=True), tensors(b)
    r = None if other is None else tensors(other)
    out = dense_kl(x, y, r, num_classes=classes, activation=activation, **options)
    out.backward()
    np.testing.assert_allclose(out.item(), value, rtol=1e-10)
    for found, wanted in zip(x, gradients):
        np.testing.assert_allclose(found.grad.numpy(), wanted, rtol=1e-9, atol=1e-14)
    return value


@every_layout
@every_kind
@pytest.mark.parametrize('weighting', ['confidence', 'uniform'])
@pytest.mark.parametrize('tau', [0.7, 1.0, 4.0])
def test_value_and_gradient(classes, shapes, activation, weighting, tau):
    assert agree(classes, shapes, activation, weighting=weighting, tau=tau) > 0


@every_kind
@pytest.mark.parametrize('gamma', [0.0, 0.5, 3.0])
@pytest.mark.parametrize('threshold', [0.0, 0.4])
def test_gamma_and_threshold(activation, gamma, threshold):
    agree(*MAPS['two anchors, uneven levels'], activation, gamma=gamma, threshold=threshold)


@every_layout
@every_kind
def test_reference_weighs(classes, shapes, activation):
    given = agree(classes, shapes, activation, other=draw(shapes, 2))
    assert len(shapes) == 1 or given != pytest.approx(agree(classes, shapes, activation))


@every_kind
def test_few_confident_locations_do_not_blow_up(activation):
    """All of a target's scores are small: the denominator is 1, not the sum of their squares."""
    shift = -6.0 if activation == 'sigmoid' else np.array([-6.0, -6.0, 6.0] * 2)[:, None, None]
    agree(*MAPS['two anchors, uneven levels'], activation, shift=shift)


def test_small_confidence_of_a_softmax_does_not_cancel():
    r = torch.tensor([[-20.0, -21.0, 10.0]])
    a, b = torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 0.0]])
    given = dense_kl(a, b, r, num_classes=3, activation='softmax', gamma=1.0)
    exact = dense_kl(a.double(), b.double(), r.double(), num_classes=3, activation='softmax', gamma=1.0)
    assert 0 < given.item() == pytest.approx(exact.item(), rel=1e-5)


def test_classes_of_an_anchor_are_neighbors():
    """As mmdet reads them: channel a * C + c. The other order would weigh other groups."""
    a, b = torch.zeros(1, 4, 1, 1), torch.full((1, 4, 1, 1), -30.0)
    b[0, 2] = 30.0  # the second anchor is sure of its first class
    half = math.log(2)
    assert dense_kl(a, b, num_classes=2, tau=1.0).item() == pytest.approx(2 * half)
    a[0, :2] = 9.0  # so the first anchor does not matter
    assert dense_kl(a, b, num_classes=2, tau=1.0).item() == pytest.approx(2 * half)


def test_one_tensor_is_one_level():
    a, b = (tensors(draw([(2, 6, 3, 5)], seed))[0] for seed in (0, 1))
    torch.testing.assert_close(dense_kl(a, b, b, num_classes=3), dense_kl([a], (b,), num_classes=3))


def test_memory_format_does_not_matter():
    a, b = (tensors(draw([(2, 6, 3, 5)], seed))[0] for seed in (0, 1))
    other = a.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(dense_kl(other, b, num_classes=3), dense_kl(a, b, num_classes=3))


@every_kind
def test_module(activation):
    classes, shapes = MAPS['two anchors, uneven levels']
    a, b, r = (tensors(draw(shapes, seed), learn=True) for seed in range(3))
    options = dict(num_classes=classes, tau=3.0, activation=activation, gamma=1.5, threshold=0.1)
    loss = MODELS.build(dict(type='shake_mm.DenseKLLoss', loss_weight=0.3, **options))
    value = loss(a, b, r)
    torch.testing.assert_close(value, 0.3 * dense_kl(a, b, r, **options))
    value.backward()
    assert all(x.grad.abs().max() > 0 for x in a) and all(x.grad is None for x in (*b, *r))
    assert DenseKLLoss(classes, loss_weight=0.0)(a, b) == 0


@every_kind
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64, torch.bfloat16])
def test_equal_logits(activation, dtype):
    classes, shapes = MAPS['two anchors, uneven levels']
    a = tensors([10 * x for x in draw(shapes)], dtype, learn=True)
    value = dense_kl(a, [x.detach() for x in a], num_classes=classes, activation=activation)
    value.backward()
    assert value == 0
    for x in a:
        assert (x.grad == 0).all() if activation == 'sigmoid' else x.grad.abs().max() < 1e-6


@every_kind
@pytest.mark.parametrize('weighting', ['confidence', 'uniform'])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_saturated_logits(activation, weighting, dtype):
    """Wrong at +-1e4: the divergence is linear there, tau times the distance to the other side."""
    a = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]], dtype=dtype, requires_grad=True)
    with torch.autocast('cpu', dtype=torch.bfloat16, enabled=dtype != torch.float32):
        value = dense_kl(a, -a.detach(), num_classes=3, activation=activation, weighting=weighting)
    value.backward()
    assert value.dtype == torch.float32 and value.isfinite() and value > 1e4
    assert a.grad.dtype == dtype and a.grad.isfinite().all() and a.grad.abs().max() > 0
    again = dense_kl(a, a.detach(), num_classes=3, activation=activation, weighting=weighting)
    assert again == 0


def test_no_location():
    """A batch without RoIs, and one whose weights are all below the threshold."""
    a = torch.zeros(0, 3, requires_grad=True)
    value = dense_kl(a, a.detach(), num_classes=3)
    value.backward()
    assert value == 0 and a.grad.shape == (0, 3)
    a = torch.ones(2, 3, requires_grad=True)
    value = dense_kl(a, -a.detach(), num_classes=3, threshold=0.9)
    value.backward()
    assert value == 0 and (a.grad == 0).all()


def test_doubled_batch():
    classes, shapes = MAPS['two anchors, uneven levels']
    a, b = tensors(draw(shapes)), tensors(draw(shapes, 1))
    twice = [[torch.cat([x, x]) for x in side] for side in (a, b)]
    torch.testing.assert_close(dense_kl(*twice, num_classes=classes), dense_kl(a, b, num_classes=classes))


def test_two_processes_average_to_the_joint_batch(monkeypatch):
    """What each would send is the sum of its weights; each is given their mean."""
    classes, shapes = MAPS['two anchors, uneven levels']
    a, b = tensors(draw(shapes), learn=True), tensors(draw(shapes, 1))
    joint = dense_kl(a, b, num_classes=classes)
    wanted = torch.autograd.grad(joint, a)
    shares = [[[x[i : i + 1] for x in side] for side in (a, b)] for i in range(2)]
    sent = []
    monkeypatch.setitem(dense_kl.__globals__, 'all_reduce', lambda weight, op: sent.append((weight.clone(), op)))
    for share in shares:
        dense_kl(*share, num_classes=classes)
    assert [op for _, op in sent] == ['mean', 'mean'] and not any(weight.requires_grad for weight, _ in sent)
    mean = (sent[0][0] + sent[1][0]) / 2
    assert mean > 1 and sent[0][0] != sent[1][0]
    monkeypatch.setitem(dense_kl.__globals__, 'all_reduce', lambda weight, op: weight.copy_(mean))
    value = sum(dense_kl(*share, num_classes=classes) for share in shares) / 2
    torch.testing.assert_close(value, joint)
    for found, gradient in zip(torch.autograd.grad(value, a), wanted):
        torch.testing.assert_close(found, gradient)


def test_runs_without_data(monkeypatch):
    """The dry run evaluates losses on tensors that have shapes only, and sends nothing."""
    monkeypatch.setitem(dense_kl.__globals__, 'all_reduce', lambda *_, **__: pytest.fail('sent'))
    maps = [torch.empty(2, 6, 4, 4, device='meta'), torch.empty(2, 6, 2, 2, device='meta')]
    assert DenseKLLoss(3)(maps, maps).shape == ()


WRONG = {
    'strides': ([(2, 6, 4, 4)], [(2, 6, 8, 8)]),
    'anchors': ([(2, 6, 4, 4)], [(2, 3, 4, 4)]),
    'levels': ([(2, 6, 4, 4), (2, 6, 2, 2)], [(2, 6, 4, 4)]),
    'boxes': ([(5, 3)], [(4, 3)]),
    'none': ([], []),
}


@pytest.mark.parametrize(('one', 'other'), WRONG.values(), ids=WRONG)
def test_shapes_must_agree(one, other):
    a, b = ([torch.zeros(shape) for shape in shapes] for shapes in (one, other))
    with pytest.raises(UsageError, match='strides, anchors per location and classes of the two detectors') as info:
        DenseKLLoss(3)(a, b)
    assert all(str(shape) in str(info.value) for shape in (*one, *other)) and 'the target' in str(info.value)
    if one:
        with pytest.raises(UsageError, match='the reference'):
            DenseKLLoss(3)(a, a, b)


@pytest.mark.parametrize('shape', [(2, 8, 4, 4), (5, 6), (5, 3, 4), (3,)])
def test_channels_must_be_whole_groups(shape):
    with pytest.raises(UsageError, match=r'num_classes=3 .* `cls_out_channels`') as info:
        DenseKLLoss(3)(torch.zeros(shape), torch.zeros(shape))
    assert str(shape) in str(info.value)


@pytest.mark.parametrize(
    'wrong',
    [
        dict(num_classes=0),
        dict(num_classes=1, activation='softmax'),
        dict(activation='relu'),
        dict(weighting='labels'),
        dict(tau=0.0),
        dict(tau=float('nan')),
        dict(gamma=-1.0),
        dict(threshold=1.5),
    ],
    ids=str,
)
def test_arguments(wrong):
    key = 'num_classes' if 'num_classes' in wrong else next(iter(wrong))
    with pytest.raises(UsageError, match=f'DenseKLLoss: {key}='):
        DenseKLLoss(**{'num_classes': 3, **wrong})
