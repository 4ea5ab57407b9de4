"""Table 4: all 171 cells build and step as the committed table says; one of each method trains, resumes and exports.

The fast lane holds one cell of each method against it, of another pair than the one that trains; the slow one all.
"""

import itertools
from functools import partial

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger

from analysis.describe import describe

from .cells import CONFIGS, GENERATOR, METHODS, PAIRS, ROOT, cell_path, config_on_digits, train_resume_export

TABLE = (ROOT / 'docs' / 'table4_cells.md').read_text(encoding='utf-8').splitlines()
TWO_STAGES = ('ab', 'ft')
TRAINED = list(zip(METHODS, itertools.cycle(PAIRS)))
SAMPLE = list(zip(METHODS, itertools.cycle(PAIRS[4:] + PAIRS[:4])))
CELLS = [
    pytest.param(*cell, id='-'.join(cell), marks=[] if cell in SAMPLE else [pytest.mark.slow])
    for cell in itertools.product(METHODS, PAIRS)
]


def test_the_table_has_nine_pairs_and_nineteen_methods():
    assert len(PAIRS) == 9 and len(METHODS) == 19
    cells = {line.split(' | ')[0].removeprefix('| ') for line in TABLE if line.endswith(' |') and '_cifar100' in line}
    assert cells == {f'{method}_{pair}_cifar100' for method in METHODS for pair in PAIRS}


def test_generated_files_are_up_to_date(capsys):
    assert GENERATOR.main(['--check']) == 0, capsys.readouterr().out


@pytest.mark.parametrize('method, pair', CELLS)
def test_a_cell_is_what_the_table_says(method, pair):
    MMLogger.get_instance('mmengine', log_level='WARNING')
    path = cell_path(method, pair)
    found = [row.markdown(path.stem) for row in describe(Config.fromfile(path))]
    assert found == [line for line in TABLE if line.startswith(f'| {path.stem} |')]


@pytest.mark.parametrize('method, pair', TRAINED)
def test_a_cell_trains_resumes_and_exports_on_digits(method, pair, tmp_path):
    """By exchanging one base; AB and FT, whose first stage adds an epoch here, resume in their second."""
    epochs = (2, 3) if method in TWO_STAGES else (1, 2)
    first, state, plain = train_resume_export(partial(config_on_digits, method, pair, tmp_path), tmp_path, epochs)
    assert {key.split('.')[0] for key in state} <= {
        'student',
        'proxies',
        'peers',
        'connectors',
        'terms',
        'data_preprocessor',
    }
    assert any(key.startswith('peers') for key in state) == method.startswith(('dml', 'kd-dagger'))
    assert ('terms.crd.loss.memory_student' in state) == ('crd' in method.split('-') and method != 'kd-crd')
    weights = [key for key in state if key.endswith('head.fc.weight') and key.startswith('student')]
    assert not torch.equal(first[weights[0]], state[weights[0]])
    assert plain.model.type == 'ImageClassifier'


def test_light_students_learn_at_a_hundredth():
    assert Config.fromfile(CONFIGS / 'at/at_resnet32x4_shufflev2_cifar100.py').optim_wrapper.optimizer.lr == 0.01
    assert Config.fromfile(CONFIGS / 'at/at_vgg13_vgg8_cifar100.py').optim_wrapper.optimizer.lr == 0.05
