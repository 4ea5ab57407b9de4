"""The paper's studies beside runs: figures by hand from the paper, rows from the configs that exist."""

from pathlib import Path

import pytest

from analysis.collect import collect
from analysis.studies import missing, render, studies
from analysis.tables import arrange

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


def pair_table(log_run, tmp_path, accuracies, **row):
    for method, values in accuracies.items():
        for seed, value in enumerate(values):
            log_run(f'{method}/{seed}', f'{method}_resnet14_resnet8_digits100', [value], seed=seed, **row)
    (table,) = arrange(collect(tmp_path).records)
    return table


@pytest.mark.parametrize(
    ('study', 'column', 'method', 'figure'),
    [
        ('table1', 'S %', 'kd', 70.66),
        ('table1', "T, T' %", 'shake-alone', 71.75),
        ('table1', 'gap', 'kd-dagger-60', 0.88),
        ('table1', 'time / KD', 'dml', 26076 / 6036),
        ('table2', 'WRN-16-2', 'shake-l2', 76.68),
        ('table2', 'VGG-8', 'shake-gt', 74.14),
        ('table3', 'ResNet-20', 'shake-sbn', 72.16),
        ('table3', 'time / KD', 'shake-sbn-w50', 6753 / 6036),
        ('exchange', "T' %", 'shake-wo-reversed', 74.16),
        ('exchange', 'ensemble %', 'shake-t2s', 76.86),
        ('table5', 'WRN-20-8', 'shake-one-head', 81.22),
        ('table5', 'WRN-16-2, two teachers', 'kd-aekd', 75.68),
        ('table6', 'ResNet-32', 'shake-alpha-div', 74.92),
        ('table6', 'WRN-16-2', 'shake-cutmix', 78.45),
    ],
)
def test_the_papers_figures(study, column, method, figure):
    assert studies()[study].paper[column][method] == pytest.approx(figure)
    assert method in studies()[study].rows


@pytest.mark.parametrize(
    ('study', 'pair', 'student', 'proxy', 'source'),
    [
        ('table1', 'wrn-40-2_wrn-16-2', 76.82, 76.78, 'wrn-40-2_wrn-16-2'),
        ('table1', 'vgg13_vgg8', 74.99, 74.92, 'vgg13_vgg8'),
        ('table1', 'resnet14_resnet8', 72.02, 71.96, 'resnet110_resnet20'),
        ('exchange', 'vgg13_vgg8', 74.99, 74.92, 'vgg13_vgg8'),
        ('exchange', 'resnet110_resnet20', 76.82, 76.78, 'wrn-40-2_wrn-16-2'),
    ],
)
def test_the_figures_are_of_the_pair_that_is_named(study, pair, student, proxy, source):
    found = studies(pair)[study]
    proxies = found.paper["T, T' %" if study == 'table1' else "T' %"]
    assert (found.paper['S %']['shake'], proxies['shake'], found.source) == (student, proxy, source)


def test_times_are_over_the_pairs_own_kd():
    assert studies('vgg13_vgg8')['table1'].paper['time / KD']['dml'] == pytest.approx(3964 / 2047)


def test_columns_without_a_network_have_a_source():
    for study in studies().values():
        named = all(any(letter.isdigit() for letter in title) for title in study.paper)
        assert named or study.source, study.title


@pytest.mark.parametrize('study', studies())
def test_every_row_is_a_config(study):
    pair = '3xresnet14_resnet8' if study == 'table5' else 'resnet14_resnet8'
    for method in studies()[study].rows:
        assert list(CONFIGS.glob(f'*/{method}_{pair}_digits100.py')), method


def test_rendered(log_run, tmp_path):
    seen = {'proxy/top1': 91.0, 'gap/teacher': 0.1234, 'gap/proxy': 0.5}
    table = pair_table(log_run, tmp_path, {'shake': [92.0, 94.0], 'shake-sbn': [95.0], 'shake-sbn-w50': [90.0]}, **seen)
    study = studies()['table3']
    page, source, order = render(study, table, {'shake': 1.004})
    assert source == "The paper's figures are those of resnet110 → resnet20 on CIFAR-100."
    lines = {line.split('|')[1].strip(): [cell.strip() for cell in line.split('|')[2:-1]] for line in page.splitlines()}
    header = lines['']
    shared = dict(zip(header, lines['backbone shared']))
    assert (
        shared['S %'] == '93.00 ± 1.41' and shared['time / KD'] == '1.00' and shared['gap/teacher'] == '0.123 ± 0.000'
    )
    assert shared['paper: ResNet-20'] == '72.02' and shared['paper: time / KD'] == '1.18' and shared['seeds'] == '2'
    assert dict(zip(header, lines['0.75×, S-BN']))['S %'] == '–'  # in the paper, not run
    assert 'nothing shared' not in lines  # neither
    assert order.endswith('Spearman ρ = 1.00 over 3 rows; best here shake-sbn, in the paper shake-sbn.')
    assert missing(study, table) == ['shake-alone', 'shake-sbn-w75']


def test_the_first_metric_that_is_there(log_run, tmp_path):
    """Table 1's second accuracy is the proxy's, else the teacher's."""
    log_run('a', 'kd_resnet14_resnet8_digits100', [92.0], **{'teacher/top1': 96.0})
    log_run('b', 'shake_resnet14_resnet8_digits100', [93.0], **{'teacher/top1': 96.0, 'proxy/top1': 94.0})
    (table,) = arrange(collect(tmp_path).records)
    page, _, order = render(studies()['table1'], table, {})
    cells = {line.split('|')[1].strip(): line.split('|')[3].strip() for line in page.splitlines()}
    assert cells['KD'] == '96.00' and cells['SHAKE, share'] == '94.00' and 'not computed, 2 rows' in order
