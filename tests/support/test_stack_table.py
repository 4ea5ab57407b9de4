import json
import re
import subprocess

from . import stack_table


def report(path, cases):
    rows = ''.join(
        f'<testcase classname="{name}" name="{test}">' + (f'<{tag} message="{why}"/>' if tag else '') + '</testcase>'
        for name, test, tag, why in cases
    )
    path.write_text(f'<testsuites><testsuite>{rows}</testsuite></testsuites>')
    return str(path)


def test_outcomes_are_counted_by_folder(tmp_path, monkeypatch):
    known = ['tests/losses/test_ab.py', 'tests/losses/test_at.py', 'tests/test_atomic.py', 'tests/taps/test_modules.py']
    monkeypatch.setattr(stack_table, 'read', lambda: dict.fromkeys(known, 1.0))
    losses, atomic = 'tests.losses.test_ab', 'tests.test_atomic'
    first = report(
        tmp_path / 'first.xml',
        [
            (losses, 'test_a', '', ''),
            (losses, 'test_b', 'skipped', 'no float16'),
            (losses, 'test_c', 'failure', 'E'),
            (f'{atomic}.TestClass', 'test_a', 'error', 'E'),
            ('', 'tests.test_reports', 'error', 'a file that does not import'),
        ],
    )
    again = report(tmp_path / 'again.xml', [(losses, 'test_c', '', '')])
    counted = stack_table.count([first, again])
    assert counted['folders'] == {
        'tests/losses': {'passed': 2, 'skipped': 1, 'failed': 0, 'mended': 1, 'files_left': 1},
        'tests/taps': {'passed': 0, 'skipped': 0, 'failed': 0, 'mended': 0, 'files_left': 1},
        'tests/test_atomic.py': {'passed': 0, 'skipped': 0, 'failed': 1, 'mended': 0, 'files_left': 0},
        'tests/test_reports.py': {'passed': 0, 'skipped': 0, 'failed': 1, 'mended': 0, 'files_left': 0},
    }
    assert list(counted['folders'])[0] == 'tests/losses' and counted['skipped'] == {'no float16': 1}


def test_what_was_not_run_is_said():
    part = {'passed': 3, 'skipped': 1, 'failed': 2, 'mended': 1, 'files_left': 0}
    none = {'passed': 0, 'skipped': 0, 'failed': 0, 'mended': 0, 'files_left': 4}
    onedl = {'run': 'at c0ffee', 'versions': 'torch 3', 'folders': {'tests/losses': part}, 'skipped': {'why': 1}}
    partly = {'tests/taps': {**none, 'passed': 3, 'files_left': 2}, 'tests/losses': none}
    classic = {**onedl, 'folders': partly}
    text = stack_table.page(
        'a\n<!-- counts -->\nold\n<!-- end of counts -->\nb\n', {'onedl': onedl, 'classic': classic}
    )
    assert '| `tests/losses` | not run | 3 (1 skipped, 2 failed, 1 mended) |' in text
    assert '| `tests/taps` | 3 (2 files not run) | not run |' in text and '| `onedl` | 1 | why |' in text
    assert '| **all** | 3 (6 files not run) |' in text
    assert text.startswith('a\n') and text.endswith('<!-- end of counts -->\nb\n') and 'old' not in text


def test_the_commit_and_the_time_of_a_run_are_named(tmp_path, monkeypatch):
    def git(*command):
        subprocess.run(['git', '-c', 'user.name=A', '-c', 'user.email=a@b', *command], cwd=tmp_path, check=True)

    table, page, other = (tmp_path / name for name in ('stacks.json', 'page.md', 'other.py'))
    for name, value in dict(ROOT=tmp_path, FILE=table, PAGE=page).items():
        monkeypatch.setattr(stack_table, name, value)
    for path in (table, page, other):
        path.write_text('a')
    git('init', '--quiet')
    git('add', '.')
    git('commit', '--quiet', '--message', 'a')
    at = stack_table.commit()
    assert re.fullmatch('[0-9a-f]{7,}', at)
    page.write_text('the table of a stack that ran first')
    assert stack_table.commit() == at
    other.write_text('b')
    assert stack_table.commit() == f'{at} with changes'
    for name, seconds in dict(first='600.4', again='71').items():
        (tmp_path / name).write_text(f'<testsuites><testsuite time="{seconds}"/></testsuites>')
    assert stack_table.minutes([tmp_path / 'first', tmp_path / 'again']) == 11


def test_the_page_shows_what_was_counted():
    page = stack_table.PAGE.read_text()
    assert stack_table.page(page, json.loads(stack_table.FILE.read_text())) == page
