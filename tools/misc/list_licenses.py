"""Write docs/licenses.md: ``python tools/misc/list_licenses.py``.

It lists the packages that the library requires, and what these require in turn, as the environment has them installed.
"""

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / 'docs/licenses.md'
DIRECT = ('runtime', 'mminstall', 'optional')
PLATFORM = re.compile(r'nvidia-|cuda-|triton')
HEAD = """\
# Licenses of the dependencies

shake_mm is under the Apache License 2.0. It contains none of these packages, and asks for them by name. The list is
written by `tools/misc/list_licenses.py` from what the packages say of themselves, in the tested environment (Python
3.11, Linux, CPU); torch for CUDA brings NVIDIA's libraries with it, under licenses of their own. Versions are in
`requirements/constraints.txt`.

| package | license | asked for by |
|---|---|---|
"""


def direct() -> list[Requirement]:
    """The requirements of the library, with the optional ones."""
    lines = [line for name in DIRECT for line in (ROOT / f'requirements/{name}.txt').read_text().splitlines()]
    return [Requirement(line) for line in lines if line.strip() and not line.startswith('#')]


def closure(requirements: Iterable[Requirement]) -> dict[str, tuple[Distribution, set[str]]]:
    """Return the installed requirements, direct and indirect, by normalized name, and who requires them."""
    found: dict[str, tuple[Distribution, set[str]]] = {}
    waiting = [(requirement, 'shake_mm') for requirement in requirements]
    while waiting:
        requirement, where = waiting.pop()
        name = canonicalize_name(requirement.name)
        wanted = requirement.marker is None or requirement.marker.evaluate({'extra': ''})
        package = _installed(name) if wanted and not PLATFORM.match(name) else None
        if package is None:
            continue
        if name not in found:
            found[name] = package, set()
            waiting += [(Requirement(line), package.name) for line in package.requires or ()]
        found[name][1].add(where)
    return found


def license(package: Distribution) -> str:
    """Return a package's license: the expression, the classifiers, or the first line of the field."""
    data = package.metadata
    if data.get('License-Expression'):
        return data['License-Expression']
    classifiers = [line.split(' :: ')[-1] for line in data.get_all('Classifier', ()) if line.startswith('License ::')]
    named = [line for line in classifiers if line != 'OSI Approved']
    if named:
        return ', '.join(named)
    lines = (data.get('License') or '').strip().splitlines()
    return lines[0].strip() if lines else 'not stated'


def page() -> str:
    """Return the whole page as Markdown."""
    rows = [
        f'| {package.name} | {license(package)} | {", ".join(sorted(owners, key=str.lower))} |'
        for _, (package, owners) in sorted(closure(direct()).items())
    ]
    return HEAD + '\n'.join(rows) + '\n'


def _installed(name: str) -> Distribution | None:
    # The environment replaces OpenCV by the build without windows.
    for candidate in (name, f'{name}-headless'):
        try:
            return distribution(candidate)
        except PackageNotFoundError:
            continue
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """Write the page of licenses and say so."""
    argparse.ArgumentParser(description=__doc__.partition('``')[0].strip(': \n')).parse_args(argv)
    PAGE.write_text(page())
    print(f'wrote {PAGE.relative_to(ROOT)}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
