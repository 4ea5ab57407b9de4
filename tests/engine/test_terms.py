"""Terms: expansion over teachers, changes by config, errors."""

import pytest
import torch

from shake_mm.engine import Taps, Term
from shake_mm.engine.terms import active_terms, expand_terms, merge_terms
from shake_mm.errors import UsageError

KL = dict(type='KLDivLoss', tau=2.0)


def test_expansion_over_teachers():
    config = {'kd': dict(of='student.logits', to='teacher*.logits', loss=KL, weight=0.6, weighting='mean')}
    two = expand_terms(config, {'teacher': 2, 'proxy': 0})
    assert list(two) == ['kd0', 'kd1']
    assert [t['to'] for t in two.values()] == ['teacher0.logits', 'teacher1.logits']
    assert [t['weight'] for t in two.values()] == [0.3, 0.3]
    one = expand_terms(config, {'teacher': 1, 'proxy': 0})
    assert list(one) == ['kd'] and one['kd']['weight'] == 0.6


def test_sum_is_the_default_weighting():
    two = expand_terms({'m': dict(of='proxy*.logits', to='teacher*.logits', loss=KL)}, {'teacher': 2, 'proxy': 2})
    assert [t.get('weight', 1) for t in two.values()] == [1, 1]
    assert [(t['of'], t['to']) for t in two.values()] == [
        ('proxy0.logits', 'teacher0.logits'),
        ('proxy1.logits', 'teacher1.logits'),
    ]


@pytest.mark.parametrize(
    'counts, words', [({'teacher': 0, 'proxy': 0}, 'needs a'), ({'teacher': 2, 'proxy': 1}, 'of them')]
)
def test_missing_members(counts, words):
    with pytest.raises(UsageError, match=words):
        expand_terms({'m': dict(of='proxy*.logits', to='teacher*.logits', loss=KL)}, counts)


def test_unknown_weighting():
    with pytest.raises(UsageError, match="'mean' or 'sum'"):
        expand_terms({'m': dict(of='student.logits', to='teacher*.logits', loss=KL, weighting='max')}, {'teacher': 1})


def test_merge():
    defaults = {'a': dict(of='x.y', weight=1.0), 'b': dict(of='z')}
    merged = merge_terms(defaults, {'a': dict(weight=2.0), 'b': None, 'c': dict(of='n')})
    assert merged == {'a': dict(of='x.y', weight=2.0), 'b': None, 'c': dict(of='n')}
    assert list(expand_terms(merged, {})) == ['a', 'c']
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
        out = term(taps, {})
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
    )
    assert out['student.loss'] == pytest.approx(0.2)
    assert out['student.loss_list'][0] == pytest.approx(0.1)
    assert out['student.accuracy_top-1'] == 50


def test_connector_is_applied_and_trained():
    term = Term('c', 'a.f', 'b.f', KL, connector=torch.nn.Linear(2, 3))
    assert len(list(term.parameters())) == 2


@pytest.mark.parametrize('weight', [-1, float('nan')])
def test_negative_weight(weight):
    with pytest.raises(UsageError, match='>= 0'):
        Term('t', 'student', weight=weight)


def test_loss_and_target_come_together():
    with pytest.raises(UsageError, match="both 'loss' and 'to'"):
        Term('t', 'a.x', loss=KL)


def test_active_terms():
    terms = {name: None for name in ('task', 'kd0', 'kd1')}
    assert list(active_terms(terms, None)) == ['task', 'kd0', 'kd1']
    assert list(active_terms(terms, ['kd'])) == ['kd0', 'kd1']
    with pytest.raises(UsageError, match="'kx'"):
        active_terms(terms, ['kx'])
