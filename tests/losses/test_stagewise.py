"""StagewiseLoss against the sum of the stages' losses, each from its formula."""

import pytest
import torch
from torch import nn

from shake_mm.engine.terms import fields_of
from shake_mm.errors import UsageError
from shake_mm.losses import DenseKLLoss, KLDivLoss, StagewiseLoss
from shake_mm.registry import MODELS

WEIGHTS = (1.0, 0.5, 0.25)


def stages(seed, rows=(4, 3, 1), learn=False):
    """Logits of three stages, each of its own number of RoIs."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n, 5, generator=generator, dtype=torch.float64).requires_grad_(learn) for n in rows]


def divergence(a, b, tau):
    """tau^2 KL(softmax(b / tau) || softmax(a / tau)), the mean over rows."""
    p, q = ((x / tau).exp() / (x / tau).exp().sum(1, keepdim=True) for x in (b, a))
    return tau**2 * (p * (p / q).log()).sum() / len(a)


def test_value_and_gradient():
    a, b = stages(0, learn=True), stages(1)
    loss = StagewiseLoss(dict(type='KLDivLoss', tau=3.0), WEIGHTS, loss_weight=0.7)
    value, expected = loss(a, b), 0.7 * sum(w * divergence(*ab, 3.0) for w, *ab in zip(WEIGHTS, a, b))
    torch.testing.assert_close(value, expected)
    for found, wanted in zip(torch.autograd.grad(value, a), torch.autograd.grad(expected, a)):
        torch.testing.assert_close(found, wanted)


def test_reference_goes_to_each_stage():
    a, b, r = stages(0), stages(1), stages(2)
    inner = DenseKLLoss(5, activation='softmax')
    expected = sum(w * inner(*abr) for w, *abr in zip(WEIGHTS, a, b, r))
    loss = MODELS.build(dict(type='shake_mm.StagewiseLoss', loss=inner, weights=WEIGHTS))
    torch.testing.assert_close(loss(a, b, r), expected)
    assert loss(a, b) != loss(a, b, r)
    assert fields_of(loss) == ()  # the reference is no fact of the batch


def test_stages_may_be_lists():
    """A stage of a dense head is a list of levels."""
    a, b = ([[x.view(-1, 5, 1, 1), x.view(-1, 5, 1, 1)] for x in stages(seed)] for seed in (0, 1))
    expected = sum(w * DenseKLLoss(5)(*ab) for w, *ab in zip(WEIGHTS, a, b))
    torch.testing.assert_close(StagewiseLoss(dict(type='DenseKLLoss', num_classes=5), WEIGHTS)(a, b), expected)


def test_inner_parameters_are_trained_with_it():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, a, b):
            return self.scale * (a - b).square().sum()

    loss = StagewiseLoss(Scaled(), (1.0,))
    assert [name for name, _ in loss.named_parameters()] == ['loss.scale']


@pytest.mark.parametrize('numbers', [(2, 3), (3, 2), (2, 2), (4, 4)])
def test_as_many_stages_as_weights(numbers):
    a, b = (stages(0, [2] * n) for n in numbers)
    with pytest.raises(UsageError, match=f'3 weights, but stages of {numbers[0]} and {numbers[1]} of') as info:
        StagewiseLoss(KLDivLoss(), WEIGHTS)(a, b)
    assert '`weights`' in str(info.value)


def test_reference_has_as_many_and_goes_to_losses_that_take_one():
    with pytest.raises(UsageError, match='3 and 3 and 2'):
        StagewiseLoss(DenseKLLoss(5), WEIGHTS)(stages(0), stages(1), stages(2, (4, 3)))
    plain = StagewiseLoss(KLDivLoss(), WEIGHTS)
    assert plain(stages(0), stages(1), stages(2)) == plain(stages(0), stages(1))


def test_needs_weights():
    with pytest.raises(UsageError, match='`weights` is empty'):
        StagewiseLoss(KLDivLoss(), ())
