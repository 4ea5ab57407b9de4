"""What the environment is made of: hashes, licenses, and what the audit makes of the answers it gets."""

import json
import re
import subprocess
from importlib.metadata import distribution
from pathlib import Path

import pytest

from tests.support.stacks import only_on

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def load(load_tool, monkeypatch):
    """Import a script of tools/misc, which finds those beside it."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools/misc'))
    return lambda name: load_tool(f'misc/{name}')


def is_pure(name):
    tags = re.findall(r'^Tag: (\S+)', distribution(name).read_text('WHEEL'), re.MULTILINE)
    return all(tag.endswith('-none-any') for tag in tags)


@only_on('current', 'the lock is of its packages')
def test_every_pure_package_is_locked(load):
    tool = load('make_lock')
    lock, constraints = tool.pinned(tool.LOCK), tool.pinned(tool.CONSTRAINTS)
    replaced = {'opencv-python'}  # by the build without windows
    assert lock == {name: constraints[name] for name in constraints if name not in replaced and is_pure(name)}
    lines = [line for line in tool.LOCK.read_text().splitlines() if not line.startswith('#')]
    assert all(re.fullmatch(r'[\w.-]+==[\w.]+ --hash=sha256:[0-9a-f]{64}', line) for line in lines)


def test_the_lock_lists_pure_wheels_alone(load):
    def item(name, file):
        hashes = dict(sha256=f'{name}-digest')
        url = f'https://index/{file}'
        return dict(
            metadata=dict(name=name, version='1.0'), download_info=dict(url=url, archive_info=dict(hashes=hashes))
        )

    report = dict(
        install=[item('b', 'b-1.0-py3-none-any.whl'), item('c', 'c-cp311.whl'), item('A', 'A-1.0-py2.py3-none-any.whl')]
    )
    assert load('make_lock').lock_lines(report) == [
        'A==1.0 --hash=sha256:A-digest',
        'b==1.0 --hash=sha256:b-digest',
    ]


def test_setup_installs_from_the_lock():
    script = (ROOT / 'tools/setup_env.sh').read_text()
    assert '--require-hashes -r requirements/lock.txt' in script
    assert script.index('step locked') < script.index('step torch')
    assert 'lock.txt' not in re.search(r'^ENV_KEY=.*?\)$', script, re.MULTILINE | re.DOTALL)[0]


@pytest.mark.parametrize('given', ['environment', 'command line'])
def test_make_builds_from_the_interpreter_that_is_named(given):
    name = 'PYTHON=nowhere/python3.12'
    command = ['env', name, 'make', 'venv'] if given == 'environment' else ['make', 'venv', name]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode != 0 and "'nowhere/python3.12' is not on PATH" in result.stderr


@only_on('current', 'the lock is of its packages')
def test_the_environment_has_the_locked_versions(load):
    audit = load('audit')
    here = audit.installed()
    assert '+' not in here['torch'] and 'shake-mm' not in here
    lock = audit.pinned(audit.LOCK)
    assert audit.check_versions(lock, here) == []
    assert audit.check_versions({'addict': '0.1', 'absent': '1'}, here) == [
        f'addict is {here["addict"]} in the environment and 0.1 in lock.txt',
        'absent is missing in the environment and 1 in lock.txt',
    ]


CLEAN, FOUND, NONE = (
    dict(name='a', version='1', vulns=[]),
    dict(name='b', version='2', vulns=[dict(id='CVE-1')]),
    dict(name='c', skip_reason='not found'),
)


@pytest.mark.parametrize(
    ('entries', 'status', 'words'),
    [
        ([CLEAN], 0, 'none known in 1 packages'),
        ([CLEAN, NONE], 0, 'nothing is known of c'),
        ([CLEAN, FOUND, NONE], 1, 'b 2: CVE-1'),
        ([NONE], 75, 'was not reached'),
        (None, 75, 'was not reached'),
    ],
)
def test_answers_about_vulnerabilities(load, entries, status, words):
    text = '' if entries is None else json.dumps(dict(dependencies=entries, fixes=[]))
    assert load('audit').read_report(text)[0] == status and words in load('audit').read_report(text)[1]


@pytest.mark.parametrize(
    ('changes', 'status'),
    [({}, 0), (dict(check_hashes=75), 75), (dict(check_vulnerabilities=1, check_hashes=75), 1), ('version', 1)],
)
def test_the_worse_result_counts(load, monkeypatch, capsys, changes, status):
    audit = load('audit')
    monkeypatch.setattr(audit, 'installed', dict)
    monkeypatch.setattr(audit, 'check_versions', lambda *args: ['a differs'] * (changes == 'version'))
    for name in ('check_hashes', 'check_vulnerabilities'):
        result = (changes.get(name, 0) if isinstance(changes, dict) else 0, f'{name} says')
        monkeypatch.setattr(audit, name, lambda *args, result=result: result)
    assert audit.main([]) == status
    assert 'check_hashes says\ncheck_vulnerabilities says\n' in capsys.readouterr().out


def test_a_changed_file_is_told_from_an_index_out_of_reach(load, monkeypatch, tmp_path):
    audit = load('audit')
    lock = tmp_path / 'lock.txt'
    lock.write_text('a==1 --hash=sha256:0\n')
    for code, text, status in (
        (0, '', 0),
        (1, 'ERROR: THESE PACKAGES DO NOT MATCH THE HASHES', 1),
        (1, 'no route', 75),
    ):
        answer = type('Answer', (), dict(returncode=code, stderr=text))
        monkeypatch.setattr(audit, '_run', lambda command, answer=answer: answer)
        assert audit.check_hashes(lock)[0] == status


@only_on('current', 'the page of licenses is of its packages')
def test_licenses_are_listed(load):
    """Every requirement for training, and all that they bring along here."""
    tool, lock = load('list_licenses'), load('make_lock')
    page = tool.PAGE.read_text()
    rows = re.findall(r'^\| ([\w.-]+) \| (.+?) \| (.+?) \|$', page, re.MULTILINE)
    listed = {tool.canonicalize_name(name) for name, *_ in rows[1:]}
    assert len(rows) == len(listed) + 1 and 'not stated' not in page
    packages = tool.closure(tool.direct())
    assert packages.keys() >= {tool.canonicalize_name(requirement.name) for requirement in tool.direct()}
    for name in packages.keys() & lock.pinned(lock.CONSTRAINTS).keys():  # others differ by torch's build
        assert f'| {packages[name][0].name} | {tool.license(packages[name][0])} |' in page
    for requirement in tool.direct():
        assert tool.canonicalize_name(packages[requirement.name.lower()][0].name) in listed
