"""From the config's terms to one per teacher and stage."""

import pytest

from shake_mm.engine.expand import expand_terms, select
from shake_mm.errors import UsageError

KL = dict(type='KLDivLoss', tau=2.0)
LEVELS = {'student': ['f1', 'f2', 'f3'], 'teacher0': ['f1', 'f2', 'f3'], 'teacher1': ['f1', 'f2', 'f3', 'f4']}


def configs_of(terms, counts, levels=LEVELS):
    return {name: term.config for name, term in expand_terms(terms, counts, levels).items()}


def test_over_teachers():
    terms = {'kd': dict(of='student.logits', to='teacher*.logits', loss=KL, weight=0.6, weighting='mean')}
    two = configs_of(terms, {'teacher': 2, 'proxy': 0})
    assert list(two) == ['kd0', 'kd1']
    assert [t['to'] for t in two.values()] == ['teacher0.logits', 'teacher1.logits']
    assert [t['weight'] for t in two.values()] == [0.3, 0.3]
    one = configs_of(terms, {'teacher': 1, 'proxy': 0})
    assert list(one) == ['kd'] and one['kd']['weight'] == 0.6


def test_sum_is_the_default_weighting():
    two = configs_of({'m': dict(of='proxy*.logits', to='teacher*.logits', loss=KL)}, {'teacher': 2, 'proxy': 2})
    assert [t.get('weight', 1) for t in two.values()] == [1, 1]
    assert [(t['of'], t['to']) for t in two.values()] == [
        ('proxy0.logits', 'teacher0.logits'),
        ('proxy1.logits', 'teacher1.logits'),
    ]


def test_own_losses_of_every_teacher():
    assert [t['of'] for t in configs_of({'x': dict(of='teacher*')}, {'teacher': 2}).values()] == [
        'teacher0',
        'teacher1',
    ]


@pytest.mark.parametrize(
    'counts, words', [({'teacher': 0, 'proxy': 0}, 'needs a'), ({'teacher': 2, 'proxy': 1}, 'of them')]
)
def test_missing_members(counts, words):
    with pytest.raises(UsageError, match=words):
        configs_of({'m': dict(of='proxy*.logits', to='teacher*.logits', loss=KL)}, counts)


def test_unknown_weighting():
    with pytest.raises(UsageError, match="'mean' or 'sum'"):
        configs_of({'m': dict(of='student.logits', to='teacher*.logits', loss=KL, weighting='max')}, {'teacher': 1})


def test_over_stages():
    ab = dict(of='student.f*.preact', to='teacher0.f*.preact', loss=KL, weight=4.0, level_decay=0.5)
    copies = configs_of({'ab': ab}, {})
    assert list(copies) == ['ab_f1', 'ab_f2', 'ab_f3']
    assert [c['weight'] for c in copies.values()] == [1.0, 2.0, 4.0]
    assert copies['ab_f2']['of'] == 'student.f2.preact' and copies['ab_f2']['to'] == 'teacher0.f2.preact'
    assert all('level_decay' not in copy for copy in copies.values())


def test_over_teachers_and_stages():
    at = dict(of='student.f*', to='teacher*.f*', loss=KL, weight=3.0, weighting='mean')
    levels = {**LEVELS, 'teacher1': ['f1', 'f2', 'f3']}
    copies = configs_of({'at': at}, {'teacher': 2}, levels)
    assert list(copies) == ['at0_f1', 'at0_f2', 'at0_f3', 'at1_f1', 'at1_f2', 'at1_f3']
    assert copies['at1_f3'] == dict(of='student.f3', to='teacher1.f3', loss=KL, weight=1.5)


def test_stages_in_a_list_stay_one_term():
    review = dict(of=['student.f*', 'student.pool'], to=['teacher*.f*', 'teacher*.pool'], loss=KL)
    (copy,) = configs_of({'review': review}, {'teacher': 1}).values()
    assert copy['of'] == ['student.f1', 'student.f2', 'student.f3', 'student.pool']
    assert copy['to'] == ['teacher0.f1', 'teacher0.f2', 'teacher0.f3', 'teacher0.pool']


def test_networks_of_unequal_depth():
    with pytest.raises(UsageError, match='pairs 3 of student.f[*] and 4 of teacher1.f[*]'):
        configs_of({'at': dict(of='student.f*', to='teacher1.f*', loss=KL)}, {})


def test_unknown_stages():
    with pytest.raises(UsageError, match="levels of 'student' are not known"):
        configs_of({'at': dict(of='student.f*', to='teacher0.f*', loss=KL)}, {}, {'student': [], 'teacher0': ['f1']})


def test_decay_without_stages():
    with pytest.raises(UsageError, match="'level_decay' needs"):
        configs_of({'x': dict(of='student.f2', to='teacher0.f2', loss=KL, level_decay=0.5)}, {})


def test_layers_whose_names_begin_alike_are_none_of_it():
    (copy,) = configs_of({'x': dict(of='student.fc', to='teacher0.backbone.f1', loss=KL)}, {}).values()
    assert copy['of'] == 'student.fc'


def test_select():
    origins = {'task': 'task', 'kd0': 'kd', 'kd1': 'kd', 'ab_f1': 'ab', 'ab_f2': 'ab'}
    assert select(origins, None) == list(origins)
    assert select(origins, ['kd', 'ab_f2']) == ['kd0', 'kd1', 'ab_f2']
    assert select(origins, ['ab']) == ['ab_f1', 'ab_f2']
    with pytest.raises(UsageError, match="'kx'"):
        select(origins, ['kx'])
