"""The zoos: what works of a sample of families does so still; of all no run ends in a fault."""

import logging
import os
import signal
import sys
from pathlib import Path

import pytest

TOOLS = str(Path(__file__).resolve().parents[2] / 'tools' / 'misc')


@pytest.fixture(scope='module')
def sweep():
    """The tool, whose folder is no package."""
    sys.path.insert(0, TOOLS)
    try:
        import sweep_zoo

        yield sweep_zoo
    finally:
        sys.path.remove(TOOLS)
        logging.disable(logging.NOTSET)  # as the tool leaves them, later tests would hear no warnings


SAMPLE = {
    'cls': (
        *('lenet', 'resnet', 'mobilenet_v2', 'shufflenet_v1', 'shufflenet_v2', 'csra', 'efficientnet', 'repvgg'),
        *('barlowtwins', 'convnext_v2', 'deit', 'deit3', 'edgenext', 'eva02'),
    ),
    'det': (
        *('yolox', 'rtmdet', 'yolof', 'atss', 'autoassign', 'dcnv2', 'ddod', 'double_heads', 'guided_anchoring'),
        *('scnet', 'solov2'),
    ),
}
"""25 families, fast ones, of every kind of head; the others are tried by the slow test."""


@pytest.mark.parametrize(('task', 'family'), [(task, name) for task, names in SAMPLE.items() for name in names])
def test_it_works(sweep, task, family):
    found = sweep.try_network(task, *next(sweep.networks(task, [family])))
    assert [found.kd, found.shake.partition(' with')[0], found.export] == ['works'] * 3, found


@pytest.mark.slow
@pytest.mark.parametrize(('task', 'networks'), [('cls', 80), ('det', 130)])
def test_no_family_is_a_fault(sweep, task, networks, tmp_path):
    """What was tried before a kill is not tried again: the test, too, may be resumed with ``--rows``."""
    rows = tmp_path / 'rows.jsonl'
    assert sweep.main(['--task', task, '--jobs', '2', '--rows', str(rows)]) == 0
    assert len(rows.read_text().splitlines()) > networks


def test_a_process_that_dies_is_a_row(sweep, tmp_path, monkeypatch, capsys):
    """And what has a row is not tried again."""
    monkeypatch.setattr(sweep, 'try_network', lambda *network: os.kill(os.getpid(), signal.SIGKILL))
    arguments = ['--task', 'cls', '--family', 'lenet', '--rows', str(tmp_path / 'rows.jsonl')]
    assert sweep.main(arguments) == 0 and 'lenet5_mnist.py | KD not run: it was killed' in capsys.readouterr().out
    assert sweep.main(arguments) == 0 and not capsys.readouterr().out


def test_of_a_folder_one_network_for_each_kind_of_head(sweep):
    names = [name for name, _ in sweep.networks('det', ['rtmdet', 'atss'])]
    assert [name.partition('/')[2].partition('_')[0] for name in names] == ['rtmdet-ins', 'rtmdet', 'atss']


def test_the_page_keeps_the_rows_of_other_configs(sweep, tmp_path):
    page = tmp_path / 'zoo.md'
    sweep.write_page('cls', [sweep.Found('a/a.py', 'works', 'works', 'works')], page)
    sweep.write_page('det', [sweep.Found('b/b.py', 'refused: no | pipe', 'refused: no', '–')], page)
    sweep.write_page('cls', [sweep.Found('c/c.py', 'not run: too large')], page)
    text = page.read_text()
    rows = [line for line in text.splitlines() if line.startswith('| `')]
    assert [row.split('`')[1] for row in rows] == ['a/a.py', 'c/c.py', 'b/b.py'] and 'no / pipe' in text
    assert '2 configs, of which 1 run as they are; all of it works with 1 of these. KD: 1 works, 0 refused' in text
