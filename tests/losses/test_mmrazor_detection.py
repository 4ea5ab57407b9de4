"""What detectors distill with out of mmrazor, on the levels of an FPN, against formulas in float64.

One term compares one level, as in mmrazor's own configs.
"""

import math

import pytest
import torch
from torch.nn import functional as F

from shake_mm.engine.terms import Term
from shake_mm.registry import MODELS
from shake_mm.taps import Taps

from ..support.stacks import needs_mmrazor

pytestmark = needs_mmrazor

LEVELS = [(2, 4, 10, 17), (2, 4, 5, 9), (2, 4, 3, 5), (2, 4, 2, 3), (2, 4, 1, 2)]
"""Oblong, odd, no exact halves of each other, as a detector's P3 to P7."""
every_level = pytest.mark.parametrize('shape', LEVELS)


def make(kind, **arguments):
    """A part of mmrazor, built as a config names it."""
    return MODELS.build(dict(type=f'mmrazor.{kind}', **arguments))


def pair(shape, channels=None, seed=0):
    """Features of a student and a teacher."""
    generator = torch.Generator().manual_seed(seed)
    target = (shape[0], channels or shape[1], *shape[2:])
    student, teacher = (torch.randn(s, generator=generator, dtype=torch.float64) for s in (shape, target))
    return (2 * student + 1).requires_grad_(), 3 * teacher - 1


def agree(loss, formula, shape):
    """Value and gradient; a teacher that is detached gets none, and the weight of features that agree is 0."""
    student, teacher = pair(shape)
    learning = teacher.clone().requires_grad_()
    value, expected = loss(student, learning.detach()), formula(student, teacher)
    torch.testing.assert_close(value, expected)
    (found,), (wanted,) = (torch.autograd.grad(x, student) for x in (value, expected))
    assert wanted.abs().max() > 0 and learning.grad is None
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-8 * wanted.abs().max().item())
    same = loss(student, student.detach())
    (gradient,) = torch.autograd.grad(same, student)
    assert same.abs() < 1e-12 and gradient.abs().max() < 1e-9


def channel_wise(s, t, tau):
    """KL of each channel's softmax over its positions, by channel and image: tau^2 / (N C) of the sum."""
    total = 0
    for n in range(len(s)):
        for c in range(s.shape[1]):
            q, p = ((x[n, c] / tau).exp() / (x[n, c] / tau).exp().sum() for x in (s, t))
            total = total + (p * (p / q).log()).sum()
    return tau**2 * total / (s.shape[0] * s.shape[1])


@every_level
@pytest.mark.parametrize('tau', [1.0, 4.0])
def test_channel_wise_divergence(shape, tau):
    agree(make('ChannelWiseDivergence', tau=tau), lambda s, t: channel_wise(s, t, tau), shape)
    loss = make('ChannelWiseDivergence', tau=tau, loss_weight=10)
    agree(loss, lambda s, t: 10 * channel_wise(s, t, tau), shape)


def test_channel_wise_divergence_of_a_large_difference():
    """Logits of one channel that differ by 10^4 stay finite, in float32."""
    s = torch.tensor([[[[1e4, 0.0]], [[0.0, 3.0]]]], requires_grad=True)
    value = make('ChannelWiseDivergence')(s, -s.detach())
    value.backward()
    assert value.isfinite() and s.grad.isfinite().all()


def pearson(s, t):
    """Half the mean square between channels of mean 0 and deviation 1, both over images and positions."""
    total = 0
    for c in range(s.shape[1]):
        normed = []
        for x in (s[:, c], t[:, c]):
            centered = x - x.mean()
            normed.append(centered / ((centered.square().sum() / (x.numel() - 1)).sqrt() + 1e-6))
        total = total + (normed[0] - normed[1]).square().sum()
    return total / (2 * s.numel())


@every_level
def test_pkd(shape):
    agree(make('PKDLoss'), pearson, shape)
    agree(make('PKDLoss', loss_weight=6), lambda s, t: 6 * pearson(s, t), shape)


def test_pkd_is_the_correlation():
    """1 - r, but for (m - 1) / m: the deviations are those of a sample. The scale of a level does not matter."""
    s, t = pair((2, 1, 5, 9))
    m = s.numel()
    correlation = torch.corrcoef(torch.stack([s.detach().flatten(), t.flatten()]))[0, 1]
    value = make('PKDLoss')(s, t)
    torch.testing.assert_close(value, (1 - correlation) * (m - 1) / m, rtol=1e-5, atol=0)
    torch.testing.assert_close(make('PKDLoss')(7 * s - 3, t), value, rtol=1e-5, atol=0)


def test_pkd_sums_levels():
    levels = [pair(shape, seed=i) for i, shape in enumerate(LEVELS)]
    value = make('PKDLoss')(tuple(s for s, _ in levels), tuple(t for _, t in levels))
    torch.testing.assert_close(value, sum(pearson(s, t) for s, t in levels))


def test_pkd_resizes_the_student():
    """Other strides: to the teacher's size, or the teacher to the student's."""
    s, (_, t) = pair((2, 4, 10, 17))[0], pair((2, 4, 5, 9))
    for resize, wanted in (
        (True, lambda: pearson(F.interpolate(s, (5, 9), mode='bilinear'), t)),
        (False, lambda: pearson(s, F.interpolate(t, (10, 17), mode='bilinear'))),
    ):
        torch.testing.assert_close(make('PKDLoss', resize_stu=resize)(s, t), wanted())


@every_level
def test_mgd(shape):
    """The sum of squares of an image, weighed by alpha_mgd: it has no loss_weight."""
    loss = make('MGDLoss', alpha_mgd=0.003)
    agree(loss, lambda s, t: 0.003 * (s - t).square().sum() / len(s), shape)
    with pytest.raises(TypeError, match='loss_weight'):
        make('MGDLoss', loss_weight=2.0)


def generated(weights, x, mask):
    """Two convolutions of 3x3 on what the mask leaves, of a 1x1 one where channels differ."""
    if 'align.weight' in weights:
        x = F.conv2d(x, weights['align.weight'], weights['align.bias'])
    x = F.conv2d(x * mask, weights['generation.0.weight'], weights['generation.0.bias'], padding=1)
    return F.conv2d(x.relu(), weights['generation.2.weight'], weights['generation.2.bias'], padding=1)


@every_level
@pytest.mark.parametrize('channels', [4, 6])
@pytest.mark.parametrize('on_channel', [False, True])
def test_mgd_connector(shape, channels, on_channel):
    connector = make(
        'MGDConnector', student_channels=4, teacher_channels=channels, lambda_mgd=0.35, mask_on_channel=on_channel
    ).double()
    loss = make('MGDLoss')
    student, teacher = pair(shape, channels)
    torch.manual_seed(5)
    value = loss(connector(student), teacher)
    torch.manual_seed(5)
    n, _, h, w = shape
    drawn = torch.rand((n, channels, 1, 1) if on_channel else (n, 1, h, w))
    mask = (drawn <= 0.65).double()
    weights = dict(connector.named_parameters())
    expected = 2e-5 * (generated(weights, student, mask) - teacher).square().sum() / n
    torch.testing.assert_close(value, expected)
    learners = [student, *weights.values()]
    for found, wanted in zip(torch.autograd.grad(value, learners), torch.autograd.grad(expected, learners)):
        assert found.isfinite().all()
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize('ratio', [0.0, 0.65, 1.0])
def test_mgd_masks_that_share_of_the_positions(ratio):
    """All channels of a position together; 0 masks none, 1 all."""
    connector = make('MGDConnector', student_channels=3, teacher_channels=3, lambda_mgd=ratio)
    seen = []
    connector.generation.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    connector(torch.ones(2, 3, 60, 50))
    kept = seen[0]
    assert (kept == kept[:, :1]).all()
    spread = 4 * math.sqrt(0.25 / kept[:, 0].numel())
    assert kept.mean().item() == pytest.approx(1 - ratio, abs=spread * (0 < ratio < 1))


@pytest.mark.parametrize('kind', ['ChannelWiseDivergence', 'PKDLoss', 'MGDLoss'])
def test_a_term_detaches_the_teacher(kind):
    """None of them does it for itself."""
    student, teacher = pair(LEVELS[1])
    teacher.requires_grad_()
    make(kind)(student, teacher).backward()
    assert teacher.grad.abs().max() > 0
    taps = Taps({}, {})
    for name, value in (('student.p3', student), ('teacher.p3', teacher)):
        taps.declare(name)
        taps.put(name, value)
    teacher.grad = student.grad = None
    losses = Term('p3', 'student.p3', 'teacher.p3', dict(type=f'mmrazor.{kind}'))(taps, {}, None)
    losses['loss_p3'].backward()
    assert student.grad.abs().max() > 0 and teacher.grad is None
