import math
from pathlib import Path

import pytest

from analysis.collect import Record
from analysis.plots.tables import draw_tables
from analysis.tables import arrange
from shake_mm.errors import UsageError

PAIR = 'resnet110_resnet20'


def record(method, top1, seed=0, pair=PAIR, data='cifar100', seconds=None, **metrics):
    return Record(method, pair, data, seed, 240, '', Path(), {'accuracy/top1': top1, **metrics}, seconds)


def accuracies(table):
    return {method: row.accuracy.mean for method, row in table.rows.items()}


def test_methods_stand_in_the_papers_order_and_variants_beside_theirs():
    names = ['shake-2t', 'kd', 'zzz', 'shake', 'kd-dagger-head', 'crd-kd', 'crd', 'kd-dagger', 'kd-crd', 'baseline']
    (table,) = arrange([record(name, 1.0) for name in names])
    assert list(table.rows) == [
        *('baseline', 'crd', 'crd-kd', 'kd', 'kd-crd'),
        *('kd-dagger', 'kd-dagger-head', 'shake', 'shake-2t', 'zzz'),
    ]


def test_seeds_are_summarized():
    (table,) = arrange([record('kd', top1, seed, seconds=s) for seed, (top1, s) in enumerate([(70.0, 1), (72.0, 3)])])
    assert table.rows['kd'].accuracy == (71.0, math.sqrt(2), 2)
    assert table.rows['kd'].seconds == 2.0


def test_teacher_and_baseline():
    """From the runs of the baseline; without them from the networks trained alone."""
    alone = [record('', 60.0, pair='resnet20'), record('', 75.0, pair='resnet110')]
    (table,) = arrange([*alone, record('kd', 62.0)])
    assert accuracies(table) == {'teacher': 75.0, 'baseline': 60.0, 'kd': 62.0}
    (table,) = arrange([*alone, *(record('baseline', 61.0, seed, **{'teacher/top1': 74.0}) for seed in (0, 1))])
    assert accuracies(table) == {'teacher': 74.0, 'baseline': 61.0}
    assert table.rows['teacher'].accuracy.n == 1 and table.rows['baseline'].accuracy.n == 2
    (table,) = arrange([record('kd', 62.0)])
    assert accuracies(table) == {'kd': 62.0} and table.gain('kd') is None


def test_gain_and_time():
    (table,) = arrange([record('baseline', 60.0, seconds=1.0), record('kd-crd', 62.5, seconds=2.0), record('at', 59.0)])
    assert table.gain('kd-crd') == 2.5 and table.gain('at') == -1.0 and table.gain('baseline') is None
    assert table.relative_time('baseline') == 0.5 and table.relative_time('kd-crd') == 1.0
    assert table.relative_time('at') is None


def test_the_papers_figures():
    (table,) = arrange([record('shake', 1.0)])
    assert table.beside == PAIR and table.paper['shake'] == 72.02
    (table,) = arrange([record('shake', 1.0, data='digits100')])
    assert table.beside is None and table.paper == {}
    (table,) = arrange([record('shake', 1.0, pair='a_b')], {'a_b': 'vgg13_vgg8'})
    assert table.paper['shake'] == 74.99


@pytest.mark.parametrize(
    ('top1', 'sentence'),
    [
        # The paper's order of these is at, crd, dml, shake; theirs here differ by one exchange: 1 - 6*2/(4*15) = 0.8.
        (dict(at=1.0, crd=3.0, dml=2.0, shake=4.0), 'Spearman ρ = 0.80 over n = 4 distillers, p ≈ 0.2.'),
        (dict(at=4.0, crd=3.0, dml=2.0), 'Spearman ρ = -1.00 over n = 3 distillers.'),
        (dict(at=4.0, crd=3.0, mine=2.0), 'not computed, n = 2 distillers are in both.'),
        (dict(at=4.0, crd=4.0, dml=4.0), 'not defined, all 3 distillers are equal here.'),
    ],
)
def test_rank_correlation(top1, sentence):
    """The baseline is in both, too, and does not count."""
    (table,) = arrange([record(name, value) for name, value in {**top1, 'baseline': 0.0}.items()])
    assert table.rank_correlation() == (f"Rank correlation of the accuracies with the paper's for {PAIR}: {sentence}")


def test_several_pairs_stand_in_the_papers_order():
    pairs = ['zz_z', 'vgg13_vgg8', PAIR]
    assert [table.pair for table in arrange([record('kd', 1.0, pair=pair) for pair in pairs])] == pairs[::-1]


@pytest.mark.parametrize(
    ('records', 'beside', 'message'),
    [
        ([record('kd', 1.0), record('kd', 1.0, data='in1k')], {}, 'runs on cifar100, in1k: choose one with --data'),
        ([record('', 1.0)], {}, 'no finished run of a distillation'),
        ([record('kd', 1.0)], {'a_b': PAIR}, "no runs of the pair 'a_b', only of resnet110_resnet20"),
        ([record('kd', 1.0)], {PAIR: 'a_b'}, "the paper has no pair 'a_b', only wrn-40-2_wrn-16-2"),
    ],
)
def test_what_cannot_be_arranged(records, beside, message):
    with pytest.raises(UsageError, match=message):
        arrange(records, beside)


@pytest.mark.parametrize('pairs', [[PAIR], [PAIR, 'vgg13_vgg8', 'a_b', 'c_d']])
def test_draws_an_image(tmp_path, pairs):
    records = [
        record(method, 70.0 + i, pair=pair) for pair in pairs for i, method in enumerate(('baseline', 'kd', 'at'))
    ]
    draw_tables(arrange([*records, record('shake', 73.0, 0), record('shake', 74.0, 1)]), tmp_path / 'a.png', 'title')
    assert (tmp_path / 'a.png').read_bytes().startswith(b'\x89PNG')
