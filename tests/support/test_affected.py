"""The choice of the edit loop: what it finds, in which order, and within which time."""

import subprocess

import pytest

from . import affected, durations

SOURCES = {
    'shake_mm/losses/kl.py': 'import torch',
    'shake_mm/losses/__init__.py': 'from .kl import divergence',
    'shake_mm/engine/terms.py': 'from ..losses import divergence',
    'tests/losses/test_kl.py': 'import math',
    'tests/losses/test_all.py': 'from shake_mm import losses',
    'tests/engine/test_terms.py': 'from shake_mm.engine.terms import Term',
    'tests/engine/test_taps.py': "CONFIG = 'configs/_base_/methods/kd.py'",
    'tests/configs/test_cells.py': 'from ..support.runs import train',
    'tests/support/runs.py': 'import shake_mm.losses.kl',
    'tests/test_readme.py': "open('README.md')",
    'tests/test_unrelated.py': '',
}


@pytest.mark.parametrize(
    ('changed', 'found'),
    [
        ([], []),
        (
            ['shake_mm/losses/kl.py'],
            [
                'tests/losses/test_kl.py',  # mirrors it
                'tests/configs/test_cells.py',  # by a helper that imports it
                'tests/losses/test_all.py',  # by the package
                'tests/engine/test_terms.py',  # by the package and another module
            ],
        ),
        (
            ['tests/test_unrelated.py', 'shake_mm/engine/terms.py'],
            ['tests/test_unrelated.py', 'tests/engine/test_terms.py'],
        ),
        (['tests/support/runs.py'], ['tests/configs/test_cells.py']),
        (['README.md', 'docs/deleted.md'], ['tests/test_readme.py']),
        (['configs/_base_/methods/kd.py'], ['tests/engine/test_taps.py', 'tests/configs/test_cells.py']),
    ],
)
def test_what_changed_finds_its_tests(monkeypatch, changed, found):
    monkeypatch.setattr(affected, 'SMOKE', ())
    assert affected.ranked(changed, SOURCES) == found


def test_the_smoke_set_comes_first_and_exists(monkeypatch):
    assert all((affected.ROOT / path).is_file() for path in affected.SMOKE)
    monkeypatch.setattr(affected, 'SMOKE', ('tests/test_readme.py',))
    assert affected.ranked(['tests/losses/test_kl.py'], SOURCES) == ['tests/test_readme.py', 'tests/losses/test_kl.py']


@pytest.mark.parametrize(
    ('path', 'test'),
    [
        ('shake_mm/atomic.py', 'tests/test_atomic.py'),
        ('shake_mm/models/backbones/crd_vgg.py', 'tests/models/backbones/test_crd_vgg.py'),
        ('tools/misc/print_config.py', 'tests/tools/test_print_config.py'),
        ('benchmarks/steps.py', 'tests/benchmarks/test_steps.py'),
    ],
)
def test_mirrors(path, test):
    assert affected.mirror(path) == test


def test_two_processes_within_the_limit():
    seconds = {'a': 6, 'b': 5, 'c': 5, 'd': 4, 'e': 1}
    assert affected.fitting(list(seconds), seconds, limit=10) == (['a', 'b', 'c', 'd'], ['e'])
    assert affected.fitting(['long', 'unknown'], {'long': 11}, limit=10) == (['unknown'], ['long'])


def test_changes_since_the_fork_and_not_committed(monkeypatch, tmp_path):
    def git(*arguments):
        identity = ['-c', 'user.name=a', '-c', 'user.email=a@b.c']
        subprocess.run(['git', *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    monkeypatch.setattr(affected, 'ROOT', tmp_path)
    git('init', '-b', 'main')
    for name, branch in (('old.py', None), ('committed.py', 'mine'), ('theirs.py', 'main')):
        if branch:
            git('checkout', *(['-b'] if branch == 'mine' else []), branch)
        (tmp_path / name).write_text('')
        git('add', '.')
        git('commit', '-m', name)
    git('checkout', 'mine')
    (tmp_path / 'old.py').write_text('changed')
    (tmp_path / 'untracked.py').write_text('')
    assert affected.changed_files('main') == ['committed.py', 'old.py', 'untracked.py']
    assert affected.changed_files('no-such-branch') == ['old.py', 'untracked.py']


def test_durations_are_read_from_a_report(tmp_path):
    report = tmp_path / 'report.xml'
    cases = [('tests.test_atomic', 1.04), ('tests.test_atomic.TestClass', 2), ('tests.losses.test_ab', 0.5)]
    rows = ''.join(f'<testcase classname="{name}" name="test" time="{time}"/>' for name, time in cases)
    report.write_text(f'<testsuites><testsuite>{rows}</testsuite></testsuites>')
    assert durations.measured(str(report)) == {'tests/losses/test_ab.py': 0.5, 'tests/test_atomic.py': 3.0}


def test_the_smoke_set_leaves_time_for_what_changed():
    known = durations.read()
    assert sum(known.get(path, affected.UNKNOWN) for path in affected.SMOKE) < affected.LIMIT / 2
