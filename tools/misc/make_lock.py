"""Write the hashes of the pure Python packages: ``python tools/misc/make_lock.py``.

``requirements/constraints.txt`` pins the versions of the default environment. A compiled package has a wheel for each
platform and Python, but a pure one has the same wheel everywhere, and its SHA-256 goes into ``requirements/lock.txt``.
``tools/setup_env.sh`` installs from there first, by pip's ``--require-hashes``, and then all that is compiled.

The hashes are those that the package index states; run this after the constraints have changed.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONSTRAINTS, LOCK = ROOT / 'requirements/constraints.txt', ROOT / 'requirements/lock.txt'
HEAD = """\
# SHA-256 of the pure Python packages of constraints.txt, written by tools/misc/make_lock.py; tools/setup_env.sh
# installs them by --require-hashes. Compiled packages differ by platform and are not listed.
"""


def pinned(path: Path) -> dict[str, str]:
    """Versions by normalized name, from a file of constraints or a lock."""
    found = re.findall(r'^([\w.-]+)==(\S+)', path.read_text(), re.MULTILINE)
    return {normalized(name): version for name, version in found}


def normalized(name: str) -> str:
    """A package's name as indices compare it."""
    return re.sub(r'[-_.]+', '-', name).lower()


def lock_lines(report: dict) -> list[str]:
    """One line for each pure wheel in pip's installation report."""
    lines = []
    for item in report['install']:
        file, name = item['download_info'], item['metadata']['name']
        if file['url'].endswith('-none-any.whl'):
            digest = file['archive_info']['hashes']['sha256']
            lines.append(f'{name}=={item["metadata"]["version"]} --hash=sha256:{digest}')
    return sorted(lines, key=str.lower)


def main(argv: Sequence[str] | None = None) -> int:
    """Ask the index, write the lock."""
    argparse.ArgumentParser(description=__doc__.partition('``')[0].strip(': \n')).parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, 'report.json')
        pip = [sys.executable, '-m', 'pip', 'install', '--quiet', '--dry-run', '--ignore-installed', '--no-deps']
        asked = subprocess.run([*pip, '--only-binary=:all:', f'--report={report}', f'--requirement={CONSTRAINTS}'])
        if asked.returncode:
            print('error: the package index does not give what constraints.txt names (see above)', file=sys.stderr)
            return 1
        lines = lock_lines(json.loads(report.read_text()))
    LOCK.write_text(HEAD + ''.join(f'{line}\n' for line in lines))
    print(f'{len(lines)} of {len(pinned(CONSTRAINTS))} packages are pure: {LOCK.relative_to(ROOT)}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
