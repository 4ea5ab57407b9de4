"""The table of ``docs/compatibility.md``: how many tests passed, were skipped or failed on each stack, and why skipped.

``python -m tests.support.stack_table REPORT...``, run by the Python of a stack, reads what ``pytest --junitxml REPORT``
left there, writes this stack's part of ``stacks.json`` anew and lays out all of them on the page. Reports are read in
their order, so a test that failed in one and passed in a later one counts as passed, and as mended. A folder that the
reports hold in part says how many of its files with fast tests are left.
"""

import argparse
import json
import platform
import re
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from shake_mm import stack

from .durations import ROOT, file_of, read

FILE = Path(__file__).with_name('stacks.json')
PAGE = ROOT / 'docs' / 'compatibility.md'
ORDER = ('classic', 'onedl', 'current')
TABLE = re.compile(r'(?<=<!-- counts -->\n).*?(?=<!-- end of counts -->)', re.DOTALL)
_MEANINGS = {'failure': 'failed', 'error': 'failed', 'skipped': 'skipped'}


def count(reports: Sequence[str]) -> dict[str, Any]:
    """What became of each test, as counts by folder and reasons of what was skipped."""
    last: dict[tuple[str, str], str] = {}
    failed: set[tuple[str, str]] = set()
    reasons: dict[tuple[str, str], str] = {}
    for report in reports:
        for case in ElementTree.parse(report).iter('testcase'):
            test = (case.attrib['classname'] or case.attrib['name'], case.attrib['name'])  # a file that does not import
            found = next((child for child in case if child.tag in _MEANINGS), None)
            last[test] = 'passed' if found is None else _MEANINGS[found.tag]
            if last[test] == 'failed':
                failed.add(test)
            reasons[test] = found.attrib.get('message', '') if found is not None else ''
    folders: dict[str, Counter[str]] = {}
    seen = {file_of(test[0]) for test in last}
    for file in {*read(), *seen}:
        counts = folders.setdefault(_place(file), Counter(passed=0, skipped=0, failed=0, mended=0, files_left=0))
        counts['files_left'] += file not in seen
    for test, outcome in last.items():
        counts = folders[_place(file_of(test[0]))]
        counts[outcome] += 1
        counts['mended'] += test in failed and outcome == 'passed'
    skipped = Counter(reasons[test] for test, outcome in last.items() if outcome == 'skipped')
    return {
        'folders': {place: dict(folders[place]) for place in sorted(folders, key=lambda p: (p.endswith('.py'), p))},
        'skipped': {reason: number for reason, number in sorted(skipped.items(), key=lambda item: (-item[1], item[0]))},
    }


def _place(file: str) -> str:
    """The folder below ``tests`` that a test file is in; the file itself where it is in none."""
    return '/'.join(file.split('/')[:2])


def page(text: str, stacks: dict[str, Any]) -> str:
    """The page with its table laid out anew."""
    names = [name for name in ORDER if name in stacks]
    places = {place: None for name in names for place in stacks[name]['folders']}
    lines = [f'| tests | {" | ".join(f"`{name}`" for name in names)} |', '|---' * (len(names) + 1) + '|']
    for place in sorted(places, key=lambda place: (place.endswith('.py'), place)):
        cells = [_cell(stacks[name]['folders'].get(place)) for name in names]
        lines.append(f'| `{place}` | {" | ".join(cells)} |')
    totals = [sum((Counter(part) for part in stacks[name]['folders'].values()), Counter()) for name in names]
    lines.append(f'| **all** | {" | ".join(_cell(total) for total in totals)} |')
    runs = [f'- `{name}` ({stacks[name]["run"]}): {stacks[name]["versions"]}.' for name in names]
    why = ['| stack | skipped | reason |', '|---|---|---|']
    for name in names:
        why += [f'| `{name}` | {number} | {reason} |' for reason, number in stacks[name]['skipped'].items()]
    return TABLE.sub(lambda _: '\n'.join(['', *runs, '', *lines, '', *why, '', '']), text)


def _cell(counts: dict[str, int] | None) -> str:
    if counts is None or not any(counts[key] for key in ('passed', 'skipped', 'failed')):
        return 'not run'
    parts = [f'{counts[key]} {key}' for key in ('skipped', 'failed', 'mended') if counts[key]]
    if left := counts['files_left']:
        parts.append(f'{left} file{"s" * (left > 1)} not run')
    return str(counts['passed']) + (f' ({", ".join(parts)})' if parts else '')


def commit() -> str:
    """The commit that is checked out, and whether files beside those written here differ from it."""
    others = [f':!{path.relative_to(ROOT)}' for path in (FILE, PAGE)]
    changed = _git('status', '--porcelain', '--untracked-files=no', '--', '.', *others)
    return _git('rev-parse', '--short', 'HEAD') + ' with changes' * bool(changed)


def _git(*command: str) -> str:
    return subprocess.run(['git', *command], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def minutes(reports: Sequence[str]) -> int:
    """How long the runs took that left the reports."""
    suites = [suite for report in reports for suite in ElementTree.parse(report).iter('testsuite')]
    return round(sum(float(suite.attrib['time']) for suite in suites) / 60)


def main() -> None:
    """Record the reports of the stack that runs this."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('reports', nargs='+', help="pytest's reports, in the order in which they were written")
    parser.add_argument('--note', default='', help='a remark on how they were run')
    arguments = parser.parse_args()
    parts = [f'at {commit()}', f'Python {platform.python_version()}', f'{minutes(arguments.reports)} minutes']
    run = ', '.join([*parts, *filter(None, [arguments.note])])
    stacks = json.loads(FILE.read_text()) if FILE.is_file() else {}
    stacks[stack.name()] = {
        'run': run,
        'versions': stack.describe().split(': ', 1)[1],
        **count(arguments.reports),
    }
    FILE.write_text(json.dumps(stacks, indent=1) + '\n')
    PAGE.write_text(page(PAGE.read_text(), stacks))


if __name__ == '__main__':
    main()
