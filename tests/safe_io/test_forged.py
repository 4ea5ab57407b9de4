"""Forged files end in a sentence: none runs code, ends the process by a signal or takes more memory than it has."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import forged

ROOT = Path(__file__).resolve().parents[2]
FILES = dict([*forged.payloads(), *forged.forgeries()])
MUTATED = dict(forged.mutations(300))
HARMLESS = {'memo_far.pth'}
"""What would harm C's unpickler alone, which makes room for the memo in one piece."""


@pytest.fixture(scope='module')
def outcomes(tmp_path_factory) -> dict[str, str]:
    """What came of each file; all are read in one process, which tells what it is about to read."""
    folder, away = tmp_path_factory.mktemp('forged'), tmp_path_factory.mktemp('away')
    for name, content in [*FILES.items(), *MUTATED.items()]:
        (folder / name).write_bytes(content)
    # What torch would do under this variable must not matter.
    environ = {**os.environ, 'OMP_NUM_THREADS': '1', 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD': '1', 'PYTHONPATH': str(ROOT)}
    command = [sys.executable, '-m', forged.__name__, str(folder)]
    done = subprocess.run(command, cwd=away, capture_output=True, text=True, env=environ, timeout=300)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('["')]
    assert done.returncode == 0, f'{lines[-1:]} {done.stderr[-2000:]}'
    assert not list(away.iterdir())
    return dict(lines)


def test_the_corpus_is_large_enough():
    assert len(FILES) >= 100
    assert all(forged.MARKER.encode() in content for name, content in forged.payloads() if 'code_pickle' in name)


@pytest.mark.parametrize('name', FILES)
def test_a_forged_file_ends_in_a_sentence(name: str, outcomes: dict[str, str]):
    outcome = outcomes[name]
    if name in HARMLESS:
        assert outcome == 'read'
        return
    assert outcome.startswith('teacher0: checkpoint ') and name in outcome and outcome.endswith('.')
    assert 'cannot be read' in outcome and 'weights_only' not in outcome
    assert outcome.isprintable() and len(outcome) < 500
    assert 'Error' not in outcome or 'ValueError' in outcome or 'RecursionError' in outcome or 'JSON' in outcome


@pytest.mark.parametrize(
    'name', [name for name, _ in forged.payloads() if name not in ('code_tar.pth', 'code_script.pth')]
)
def test_code_is_told_as_such(name: str, outcomes: dict[str, str]):
    pickles_in_text = ('code_pickle0.pth', 'code_pickle1.pth')
    assert ('holds code' in outcomes[name]) == (name not in pickles_in_text)


def test_the_payloads_are_live(tmp_path: Path):
    """Without care each of them would run: what is tested above is not that they are broken."""
    content = dict(forged.payloads())['code_pickle2.pth']
    (tmp_path / 'x.pkl').write_bytes(content)
    code = f'import pickle; pickle.load(open({str(tmp_path / "x.pkl")!r}, "rb"))'
    subprocess.run([sys.executable, '-c', code], cwd=tmp_path, check=True)
    assert (tmp_path / forged.MARKER).is_file()
