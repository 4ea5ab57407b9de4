"""The zoos: what works of a sample of families does so still; of all no run ends in a fault."""

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


SAMPLE = {
    'cls': ('lenet', 'resnet', 'mobilenet_v2', 'shufflenet_v1', 'shufflenet_v2', 'csra', 'efficientnet'),
    'det': ('yolox', 'rtmdet', 'yolof'),
}
"""Fast ones, of every kind of head; the others are tried by the slow test."""


@pytest.mark.parametrize(('task', 'family'), [(task, name) for task, names in SAMPLE.items() for name in names])
def test_it_works(sweep, task, family):
    found = sweep.try_family(task, family)
    assert [found.kd, found.shake.partition(' with')[0], found.export] == ['works'] * 3, found


@pytest.mark.slow
@pytest.mark.parametrize('task', ['cls', 'det'])
def test_no_family_is_a_fault(sweep, task):
    found = [entry for family in sweep.families(task) if (entry := sweep.try_family(task, family)) is not None]
    assert not [entry for entry in found if any(cell.startswith('fault') for cell in entry[1:])]
    assert len(found) > 60


def test_the_page_keeps_the_rows_of_other_configs(sweep, tmp_path):
    page = tmp_path / 'zoo.md'
    sweep.write_page('cls', [sweep.Found('a/a.py', 'works', 'works', 'works')], page)
    sweep.write_page('det', [sweep.Found('b/b.py', 'refused: no | pipe', 'refused: no', '–')], page)
    sweep.write_page('cls', [sweep.Found('c/c.py', 'not run: too large')], page)
    text = page.read_text()
    rows = [line for line in text.splitlines() if line.startswith('| `')]
    assert [row.split('`')[1] for row in rows] == ['a/a.py', 'c/c.py', 'b/b.py'] and 'no / pipe' in text
    assert '2 configs, of which 1 run as they are. KD: 1 works, 0 refused, 0 fault.' in text
