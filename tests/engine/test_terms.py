"""Terms: gradients, weights, connectors, facts of the batch, changes by config, errors."""

import math

import pytest
import torch

from shake_mm.engine import Taps, Term
from shake_mm.engine.expand import expand_terms
from shake_mm.engine.term_config import merge_terms
from shake_mm.errors import UsageError
from shake_mm.registry import asks_for, build_part

KL = dict(type='KLDivLoss', tau=2.0)


def test_merge():
    defaults = {'a': dict(of='x.y', weight=1.0), 'b': dict(of='z')}
    merged = merge_terms(defaults, {'a': dict(weight=2.0), 'b': None, 'c': dict(of='n')})
    assert merged == {'a': dict(of='x.y', weight=2.0), 'b': None, 'c': dict(of='n')}
    assert list(expand_terms(merged, {}, {})) == ['a', 'c']
    assert merge_terms(defaults, {'a': dict(_delete_=True, of='q')})['a'] == dict(of='q')
    assert defaults['a'] == dict(of='x.y', weight=1.0)


def test_target_is_detached_and_weight_applies():
    taps = Taps({}, {})
    for name in ('a.logits', 'b.logits'):
        taps.declare(name)
    a = torch.randn(2, 3, requires_grad=True)
    b = torch.randn(2, 3, requires_grad=True)
    term = Term('t', 'a.logits', 'b.logits', KL, weight=0.5)
    with taps.recording():
        taps.put('a.logits', a)
        taps.put('b.logits', b)
        out = term(taps, {}, None)
    full = term.loss(a, b)
    torch.testing.assert_close(out['loss_t'], 0.5 * full)
    out['loss_t'].backward()
    assert b.grad is None and a.grad.abs().sum() > 0


def test_own_losses_are_weighted_but_not_accuracies():
    term = Term('task', 'student', weight=0.1)
    out = term(
        None,
        {
            'student': {
                'loss': torch.tensor(2.0),
                'loss_list': [torch.tensor(1.0)],
                'accuracy_top-1': torch.tensor(50.0),
            }
        },
        None,
    )
    assert out['student.loss'] == pytest.approx(0.2)
    assert out['student.loss_list'][0] == pytest.approx(0.1)
    assert out['student.accuracy_top-1'] == 50


def test_connector_is_applied_and_trained():
    term = Term('c', 'a.f', 'b.f', KL, connector=torch.nn.Linear(2, 3))
    assert len(list(term.parameters())) == 2


class Weighted(torch.nn.Module):
    """A loss that asks for two facts of the batch."""

    def forward(self, feature, target, gt_labels, rank, power=1):
        return ((feature - target).pow(power) * gt_labels[:, None] * rank[:, None]).sum()


def recorded(taps, **values):
    for name in values:
        taps.declare(f'{name}.x')
        taps.put(f'{name}.x', values[name])


def test_a_loss_gets_the_facts_it_asks_for():
    taps = Taps({}, {})
    term = Term('t', 'a.x', 'b.x', Weighted(), weight=2.0)
    assert term.fields == ('gt_labels', 'rank')
    facts = {'gt_labels': torch.tensor([1, 2]), 'rank': torch.tensor([3.0, 5.0])}
    with taps.recording():
        recorded(taps, a=torch.ones(2, 2), b=torch.zeros(2, 2))
        out = term(taps, {}, facts.__getitem__)
    assert out['loss_t'].item() == 2 * (2 * 3 + 2 * 10)


def test_both_connectors_train_and_the_target_does_not():
    taps = Taps({}, {})
    term = Term(
        't', 'a.x', 'b.x', torch.nn.MSELoss(), connector=torch.nn.Linear(2, 4), to_connector=torch.nn.Linear(3, 4)
    )
    a, b = torch.randn(5, 2, requires_grad=True), torch.randn(5, 3, requires_grad=True)
    with taps.recording():
        recorded(taps, a=a, b=b)
        term(taps, {}, None)['loss_t'].backward()
    assert a.grad is not None and b.grad is None
    assert all(p.grad.abs().sum() > 0 for p in term.parameters()) and len(list(term.parameters())) == 4


def test_several_taps_are_a_list():
    class Sums(torch.nn.Module):
        def forward(self, features, targets):
            return sum((f - t).sum() for f, t in zip(features, targets))

    taps = Taps({}, {})
    term = Term('t', ['a.x', 'b.x'], ['c.x', 'd.x'], Sums())
    values = {name: torch.full((2,), i + 1.0, requires_grad=True) for i, name in enumerate('abcd')}
    with taps.recording():
        recorded(taps, **values)
        term(taps, {}, None)['loss_t'].backward()
    assert [v.grad is not None for v in values.values()] == [True, True, False, False]


def test_a_warm_up_scales_the_weight_and_needs_its_hook():
    term = Term('task', 'student', weight=3.0, warmup=4)
    own = {'student': {'loss': torch.tensor(2.0)}}
    with pytest.raises(UsageError, match='StageHook'):
        term(None, own, None)
    term.factor = 0.25
    assert term(None, own, None)['student.loss'] == 1.5


def test_how_a_weight_rises():
    line, curve = (Term('task', 'student', warmup=4, ramp=ramp) for ramp in ('linear', 'sigmoid'))
    found = []
    for epoch in range(6):
        for term in (line, curve):
            term.enter(epoch, by_epoch=True)
        found.append((line.factor, curve.factor))
    # e^-5 at the very beginning, and all of it after four epochs.
    expected = [(0.25, math.exp(-5)), (0.5, math.exp(-5 * 9 / 16)), (0.75, math.exp(-5 / 4)), (1, math.exp(-5 / 16))]
    assert found == [pytest.approx(pair) for pair in (*expected, (1, 1), (1, 1))]
    with pytest.raises(UsageError, match="ramp='cosine', but it must be one of linear, sigmoid"):
        Term('task', 'student', warmup=4, ramp='cosine')
    with pytest.raises(UsageError, match='give `warmup`, its length, too'):
        Term('task', 'student', ramp='sigmoid')


@pytest.mark.parametrize('kind', [0, 2.5, None])
def test_a_type_that_names_nothing_is_refused(kind):
    """Also where it is asked what the part wants to know."""
    assert not asks_for(dict(type=kind), 'in_norm')
    with pytest.raises(UsageError, match='must be the name of one'):
        build_part(dict(type=kind), {}, 'terms.t.loss')


@pytest.mark.parametrize('weight', [-1, float('nan')])
def test_negative_weight(weight):
    with pytest.raises(UsageError, match='>= 0'):
        Term('t', 'student', weight=weight)


def test_a_loss_without_a_target():
    """``loss(of, label)``: how a proxy learns from the labels."""
    taps = Taps({}, {})
    taps.declare('a.logits')
    a = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([4, 0, 2, 2])
    term = Term('t', 'a.logits', loss=dict(type='mmpretrain.CrossEntropyLoss'), weight=0.3)
    assert term.taps == ('a.logits',) and term.fields == ('label',)
    with taps.recording():
        taps.put('a.logits', a)
        out = term(taps, {}, lambda name: {'label': labels}[name])
    expected = -0.3 * (a.exp() / a.exp().sum(dim=1, keepdim=True)).log()[range(4), labels].mean()
    torch.testing.assert_close(out['loss_t'], expected)
    with pytest.raises(UsageError, match="give a 'loss' too"):
        Term('t', 'a.logits', to='b.logits')
