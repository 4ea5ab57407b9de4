"""How long each test file takes, for the choice of the edit loop (:mod:`.affected`).

``python -m tests.support.durations REPORT`` writes ``durations.json`` anew from what ``pytest --junitxml REPORT`` left
of a run of all tests.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
FILE = Path(__file__).with_name('durations.json')


def read() -> dict[str, float]:
    """Seconds by test file."""
    return json.loads(FILE.read_text())


def measured(report: str) -> dict[str, float]:
    """Seconds by test file, from pytest's report."""
    seconds: dict[str, float] = defaultdict(float)
    for case in ElementTree.parse(report).iter('testcase'):
        seconds[file_of(case.attrib['classname'])] += float(case.attrib['time'])
    return {path: round(seconds[path], 1) for path in sorted(seconds)}


def file_of(classname: str) -> str:
    """The test file that a report's ``classname`` stands for."""
    parts = classname.split('.')
    while parts and not (ROOT / ('/'.join(parts) + '.py')).is_file():  # the last ones are classes
        parts.pop()
    return '/'.join(parts) + '.py'


if __name__ == '__main__':
    FILE.write_text(json.dumps(measured(sys.argv[1]), indent=1) + '\n')
