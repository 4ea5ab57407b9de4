import math

import pytest

from analysis import Stat, difference, over_seeds
from analysis.summary import pooled_std


def test_sample_standard_deviation():
    stat = Stat.of([1.0, 2.0, 3.0])
    assert stat == (2.0, 1.0, 3) and f'{stat}' == '2.00 ± 1.00' and f'{stat:.1f}' == '2.0 ± 1.0'


def test_a_single_seed_has_no_spread():
    stat = Stat.of([5.0])
    assert math.isnan(stat.std) and f'{stat}' == '5.00'


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf, 1e308, 10**400])
def test_what_no_run_measures_has_no_mean(value):
    assert all(math.isnan(part) for part in Stat.of([value, 1.0, -value])[:2])


def test_over_seeds_keeps_what_all_have():
    assert over_seeds([{'a': 1.0, 'b': 0.0}, {'a': 3.0}]) == {'a': (2.0, math.sqrt(2), 2)}


def test_pooled_std():
    assert pooled_std(Stat(0, 3.0, 3), Stat(0, 4.0, 3)) == pytest.approx(math.sqrt(12.5))
    assert pooled_std(Stat(0, 3.0, 2), Stat(0, math.sqrt(3), 3)) == pytest.approx(math.sqrt(5))


@pytest.mark.parametrize(
    ('a', 'b', 'parts'),
    [
        ([3.0, 4.0], [1.0, 2.0], ['A − B = +2.00 points', 'which exceeds', '0.71', '2 seeds each']),
        ([1.0, 2.0], [3.0, 4.0], ['A − B = -2.00 points', 'which exceeds']),
        ([1.0, 2.0], [1.1, 2.1], ['does not exceed']),
        ([1.0, 2.0], [1.1, 2.1, 3.0], ['2 and 3 seeds']),
        ([1.0], [2.0], ['-1.00', 'nothing can be said']),
    ],
)
def test_difference(a, b, parts):
    sentence = difference('A', Stat.of(a), 'B', Stat.of(b))
    for part in parts:
        assert part in sentence
    assert sentence.endswith('.')
