"""Every bad input ends in one sentence that names what is wrong and what to do, and costs nothing that was there."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shake_mm.errors import UsageError

from .case import ROOT, Case, try_in_own_process, try_in_process
from .cases import CASES, CATEGORIES

PAGE = ROOT / 'docs' / 'bad_inputs.md'


def test_the_table_is_large_enough():
    names = Counter((case.category, case.name) for case in CASES)
    assert len(CASES) >= 80 and len(CATEGORIES) >= 8 and max(names.values()) == 1
    counts = Counter(case.category for case in CASES)
    assert len(counts) == 8 and min(counts.values()) >= 10


@pytest.mark.parametrize('case', CASES, ids=lambda case: f'{case.category}: {case.name}')
def test_bad_inputs_are_told_in_one_sentence(case: Case, tmp_path: Path):
    assert try_in_process(case, tmp_path).verdict(case) == 'pass'


def test_bad_inputs_in_processes_of_their_own(tmp_path: Path):
    """The first case of every category, as a user meets it; an import of the package costs a core for seconds."""
    first = {case.category: case for case in reversed(CASES)}.values()
    folders = [tmp_path / str(i) for i in range(len(first))]
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(try_in_own_process, first, folders))
    assert {case.name: outcome.verdict(case) for case, outcome in zip(first, outcomes)} == {
        case.name: 'pass' for case in first
    }


def test_debug_shows_the_traceback(tmp_path: Path):
    case = next(case for case in CASES if case.name == 'text named as an image')
    with pytest.raises(UsageError, match='failed to load image') as info:
        try_in_process(case._replace(prepare=lambda site: [*case.prepare(site), '--debug']), tmp_path)
    assert 'failed to load' in str(info.value.__cause__)


def test_the_page_lists_the_table():
    rows = [line.split(' | ') for line in PAGE.read_text(encoding='utf-8').splitlines() if line.startswith('| ')]
    listed = [(row[0].removeprefix('| '), row[1]) for row in rows[1:] if len(row) == 5 and row[1] != '---']
    assert listed == [(case.category, case.name) for case in CASES]
