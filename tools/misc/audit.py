"""Audit the installed packages: ``python tools/misc/audit.py`` (``make audit`` runs it).

1. The lock: the environment has the versions of ``requirements/lock.txt``, and the package index still gives the files
   of these hashes.
2. Known vulnerabilities of everything installed, by pip-audit in a throw-away environment.

Exit status: 0 where both are clean, 1 where something differs or is vulnerable, 75 where nothing is known to be wrong,
but not all could be checked, since the index or the vulnerability service was not reached.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path

from make_lock import LOCK, normalized, pinned
from packaging.version import Version

OK, WRONG, UNKNOWN = 0, 1, 75  # EX_TEMPFAIL of sysexits.h
OURS = ('shake-mm', 'pip')
MISMATCH = 'DO NOT MATCH THE HASHES'


def installed() -> dict[str, str]:
    """Versions by normalized name, as the index knows them: without the mark of a local build."""
    found: dict[str, str] = {}
    for item in distributions():  # in the order of sys.path: what setuptools carries inside comes last
        found.setdefault(normalized(item.name), Version(item.version).public)
    return {name: version for name, version in found.items() if name not in OURS}


def check_versions(lock: dict[str, str], here: dict[str, str]) -> list[str]:
    """List the differences between the lock and the environment."""
    return [
        f'{name} is {here.get(name, "missing")} in the environment and {version} in {LOCK.name}'
        for name, version in lock.items()
        if here.get(name) != version
    ]


def check_hashes(lock: Path) -> tuple[int, str]:
    """Fetch the locked files anew; pip compares the hashes."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, '-m', 'pip', 'download', '--quiet', '--no-deps', '--no-cache-dir', '--only-binary=:all:']
        got = _run([*pip, '--require-hashes', f'--requirement={lock}', f'--dest={folder}'])
    if got.returncode == 0:
        return OK, f'lock: {len(pinned(lock))} pure packages have the hashes of {lock.name}'
    if MISMATCH in got.stderr:
        return WRONG, f'lock: a file of the index has another hash than in {lock.name}:\n{got.stderr}'
    return UNKNOWN, 'lock: versions agree; hashes were not checked, as the package index does not give all files'


def read_report(text: str) -> tuple[int, str]:
    """Summarize pip-audit's JSON report, which is empty if the service was not reached."""
    try:
        entries = json.loads(text)['dependencies']
    except (ValueError, KeyError):
        entries = []
    found = [f'{e["name"]} {e["version"]}: {v["id"]}' for e in entries for v in e.get('vulns', ())]
    known = sum('skip_reason' not in entry for entry in entries)
    if found:
        return WRONG, '\n'.join([f'vulnerabilities: {len(found)} known', *found])
    if known == 0:
        return UNKNOWN, 'vulnerabilities: not checked, as the service that knows them was not reached'
    if known < len(entries):
        rest = ', '.join(entry['name'] for entry in entries if 'skip_reason' in entry)
        return OK, f'vulnerabilities: none known in {known} packages; nothing is known of {rest}'
    return OK, f'vulnerabilities: none known in {known} packages'


def check_vulnerabilities(here: dict[str, str]) -> tuple[int, str]:
    """Ask about all packages from an environment that is deleted afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(f'{folder}/venv', with_pip=True)
        frozen = Path(folder, 'frozen.txt')
        frozen.write_text(''.join(f'{name}=={version}\n' for name, version in sorted(here.items())))
        if _run([f'{folder}/venv/bin/python', '-m', 'pip', 'install', '--quiet', 'pip-audit']).returncode:
            return UNKNOWN, 'vulnerabilities: not checked, as pip-audit could not be installed from the package index'
        options = ['--no-deps', '--disable-pip', '--format=json', '--progress-spinner=off', '--timeout=15']
        return read_report(_run([f'{folder}/venv/bin/pip-audit', '--requirement', str(frozen), *options]).stdout)


def main(argv: Sequence[str] | None = None) -> int:
    """Run both checks and return the worse status."""
    argparse.ArgumentParser(description=__doc__.partition('``')[0].strip(': \n')).parse_args(argv)
    here = installed()
    differences = check_versions(pinned(LOCK), here)
    results = [(WRONG, '\n'.join(['lock: the environment differs:', *differences]))] if differences else []
    results += [check_hashes(LOCK), check_vulnerabilities(here)]
    for _, sentence in results:
        print(sentence)
    statuses = {status for status, _ in results}
    return next(status for status in (WRONG, UNKNOWN, OK) if status in statuses)


def _run(command: list[str]) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True)


if __name__ == '__main__':
    sys.exit(main())
