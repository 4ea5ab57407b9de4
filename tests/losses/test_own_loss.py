"""The own loss of a network as a term: what it is given, how it is weighed, who learns."""

import pytest
import torch

from shake_mm.losses import OwnLoss


class Behind(torch.nn.Module):
    """A classifier of two maps; the samples are labels."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.weight = torch.nn.Parameter(torch.randn(5, 3), requires_grad=False)

    def forward(self, features, samples):
        logits = sum(x.mean((2, 3)) @ self.weight.to(x).T for x in features)
        return torch.nn.functional.cross_entropy(logits, torch.tensor(samples))


def draw():
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(4, 3, 2, 2, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(2)]


def test_it_is_the_loss_behind_of_these_features():
    loss, features, labels = OwnLoss(Behind(), 0.7), draw(), [0, 3, 1, 1]
    means = sum(x.mean((2, 3)) for x in features)
    scores = means @ loss.own_loss.weight.double().T
    wanted = -0.7 * sum(s[label] - s.exp().sum().log() for s, label in zip(scores, labels)) / 4
    torch.testing.assert_close(loss(features, labels), wanted)
    for found, slope in zip(*(torch.autograd.grad(x, features) for x in (loss(features, labels), wanted))):
        assert slope.abs().max() > 0
        torch.testing.assert_close(found, slope)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_features_are_weighed_in_full(dtype):
    features = [x.detach().to(dtype) for x in draw()]
    value = OwnLoss(Behind())(features, (0, 3, 1, 1))
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, OwnLoss(Behind())([x.float() for x in features], [0, 3, 1, 1]))


def test_it_asks_for_the_samples_and_owns_nothing():
    from shake_mm.engine.terms import fields_of

    assert fields_of(OwnLoss(Behind()), 1) == ('data_samples',)
