import json
import re
import subprocess

import pytest
import torch

from shake_mm.grid import provenance
from shake_mm.grid.provenance import FILE, describe, forget_sessions, read_sessions, record_session


def test_sessions_add_up(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, 'versions', lambda: {'python': '3', 'torch': '2'})
    monkeypatch.setattr(
        provenance, 'hardware', lambda device: {'hardware': 'CPU', 'cores': 2, 'device': device, 'torch': '2'}
    )
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    commits = iter([None, 'abc1234'])
    monkeypatch.setattr(provenance, 'commit', lambda: next(commits))
    assert provenance.describe(tmp_path) == []
    for seconds, trained in ((60.0, 2), (30.04, 1)):
        provenance.record_session(tmp_path / 'grid', 'python tools/run_grid.py a.py', seconds, trained)
    assert provenance.describe(tmp_path) == [
        '`python tools/run_grid.py a.py`: 3 runs, 1.5 minutes of wall time in 2 calls; CPU, 2 cores, cpu; '
        'python 3, torch 2; commit abc1234'
    ]
    first, second = json.loads((tmp_path / 'grid' / 'grid.json').read_text())['sessions']
    assert (first['seconds'], second['seconds']) == (60.0, 30.0)


def test_versions_and_hardware_are_this_machines(tmp_path):
    provenance.record_session(tmp_path, 'x', 1.0, 1)
    (session,) = provenance.read_sessions(tmp_path)
    assert session['versions']['torch'] == torch.__version__ and 'mmengine' in session['versions']
    assert session['machine']['cores'] > 0


def test_commit(tmp_path, monkeypatch):
    """Of a checkout, and only of a checkout of its own."""

    def git(*args):
        subprocess.run(['git', '-C', str(tmp_path), '-c', 'user.name=x', '-c', 'user.email=x', *args], check=True)

    monkeypatch.setattr(provenance, 'ROOT', tmp_path)
    assert provenance.commit() is None
    git('init', '-q')
    assert provenance.commit() is None  # nothing was committed
    (tmp_path / 'file').touch()
    git('add', 'file')
    git('commit', '-q', '-m', 'x')
    clean = provenance.commit()
    assert re.fullmatch('[0-9a-f]{7,}', clean)
    (tmp_path / 'file').write_text('changed')
    assert provenance.commit() == f'{clean}-dirty'


@pytest.mark.parametrize(
    'content',
    [
        '',
        '{',
        '[]',
        '{"sessions": 3}',
        '{"sessions": [{}]}',
        '{"sessions": ["a"]}',
        '{"sessions": [], "mine": 1}',
        '\xff',
    ],
)
def test_a_damaged_record_is_told_and_kept_beside_a_new_one(tmp_path, content):
    (tmp_path / 'bad').mkdir()
    (tmp_path / 'bad' / FILE).write_bytes(content.encode('latin-1'))
    record_session(tmp_path / 'good', 'python x', 60.0, 2)
    told = describe(tmp_path)
    assert len(told) == 2 and told[0].startswith(f'bad/{FILE} is damaged') and told[1].startswith('`python x`: 2 runs')
    record_session(tmp_path / 'bad', 'python y', 60.0, 1)
    assert [session['command'] for session in read_sessions(tmp_path / 'bad')] == ['python y']
    (kept,) = (tmp_path / 'bad').glob(f'{FILE}.damaged-*')
    assert kept.read_bytes() == content.encode('latin-1')


def test_only_a_record_is_forgotten(tmp_path):
    """A file of its name that others wrote stays, and so does one that a link leads to."""
    forget_sessions(tmp_path)
    record_session(tmp_path, 'python x', 60.0, 2)
    record = (tmp_path / FILE).read_text()
    forget_sessions(tmp_path)
    assert not (tmp_path / FILE).exists()
    for content in ('{"cells": 4}', '[]', '{"sessions": []}', json.dumps({**json.loads(record), 'mine': 1})):
        (tmp_path / FILE).write_text(content)
        forget_sessions(tmp_path)
        assert (tmp_path / FILE).read_text() == content
    (tmp_path / 'elsewhere').write_text(record)
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).symlink_to(tmp_path / 'elsewhere')
    forget_sessions(tmp_path)
    assert (tmp_path / FILE).is_symlink() and (tmp_path / 'elsewhere').read_text() == record
