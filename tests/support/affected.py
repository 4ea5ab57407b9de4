"""Choose the tests of the edit loop: ``python -m tests.support.affected`` (what ``make test-fast`` runs).

Printed are, in this order and as far as two processes run them in ``LIMIT`` seconds: the smoke set; test files that
changed; tests that mirror a changed module; tests that name a changed file of another kind; tests that import what
changed, directly or through other modules, the nearest first. Changed means: other than the branch that this one left
(``BASE``, by default main), also when not committed yet. What did not fit is named on stderr.

How long a file takes stands in ``durations.json``, which ``tests.support.durations`` writes.
"""

import ast
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from .durations import read

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ('shake_mm', 'tests', 'tools', 'benchmarks', 'analysis')
LIMIT = 100.0  # seconds of tests in each of two processes; starting these takes up to half a minute more
UNKNOWN = 5.0  # seconds that a file of no known duration is taken to need
SMOKE = (
    'tests/test_contributing.py',
    'tests/test_style.py',
    'tests/test_validation.py',
    'tests/distillers/test_shake.py',
    'tests/engine/test_terms.py',
    'tests/losses/test_kl_div.py',
    'tests/proxies/test_shadow_head.py',
)


def changed_files(base: str) -> list[str]:
    """Paths that differ from where this branch left ``base``, and files that git does not know yet."""
    fork = _git('merge-base', 'HEAD', base) or ['HEAD']
    return sorted({*_git('diff', '--name-only', fork[0]), *_git('ls-files', '--others', '--exclude-standard')})


def _git(*arguments: str) -> list[str]:
    return subprocess.run(['git', *arguments], cwd=ROOT, capture_output=True, text=True).stdout.split('\n')[:-1]


def imported(path: str, source: str) -> Iterator[str]:
    """Files, or packages' ``__init__``, that an import statement of this file may mean."""
    here = Path(path).parent
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            targets = [name.name.replace('.', '/') for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = here.parents[node.level - 2] if node.level > 1 else here if node.level else Path()
            module = (start / (node.module or '').replace('.', '/')).as_posix()
            targets = [module, *(f'{module}/{name.name}' for name in node.names)]
        else:
            continue
        for target in targets:
            yield from (f'{target}.py', f'{target}/__init__.py')


def distances(changed: Iterable[str], sources: dict[str, str]) -> dict[str, int]:
    """For each file that imports a changed one: over how many imports it does."""
    users = defaultdict(set)
    for path, source in sources.items():
        for target in imported(path, source):
            users[target].add(path)
    found = {path: 0 for path in changed}
    frontier = set(found)
    while frontier:
        frontier = {user for path in frontier for user in users[path]} - found.keys()
        found |= {path: max(found.values()) + 1 for path in frontier}
    return found


def mirror(path: str) -> str:
    """The test file of a module."""
    folder, _, name = path.rpartition('/')
    folder = 'tools' if folder.startswith('tools') else folder.removeprefix('shake_mm').strip('/')
    return '/'.join(part for part in ('tests', folder, f'test_{name}') if part)


def ranked(changed: list[str], sources: dict[str, str]) -> list[str]:
    """Test files that may tell of these changes, what tells most before what tells less."""
    tests = [path for path in sources if path.startswith('tests/') and '/test_' in path]
    ranks = {path: 3 + far for path, far in distances(changed, sources).items()}
    names = [path.rpartition('/')[2] for path in changed if not path.endswith('.py')]
    names += [path.removeprefix('configs/') for path in changed if path.startswith('configs/')]
    if any(path.startswith('configs/') for path in changed):
        ranks |= {path: 3 for path in tests if path.startswith('tests/configs/')}
    ranks |= {path: 2 for path in tests if any(name in sources[path] for name in names)}
    ranks |= {mirror(path): 1 for path in changed}
    ranks |= {path: 0 for path in changed} | {path: -1 for path in SMOKE}
    return sorted((path for path in tests if path in ranks), key=lambda path: (ranks[path], path))


def fitting(tests: list[str], durations: dict[str, float], limit: float = LIMIT) -> tuple[list[str], list[str]]:
    """Which of the files two processes run within the limit, and which are left out."""
    loads, kept = [0.0, 0.0], []
    for path in tests:
        seconds = durations.get(path, UNKNOWN)
        if min(loads) + seconds <= limit:
            loads[loads.index(min(loads))] += seconds
            kept.append(path)
    return kept, [path for path in tests if path not in kept]


def main() -> None:
    """Print the choice."""
    paths = [path for folder in SOURCES for path in (ROOT / folder).rglob('*.py') if '.mim' not in path.parts]
    sources = {path.relative_to(ROOT).as_posix(): path.read_text() for path in paths}
    changed = changed_files(os.environ.get('BASE', 'main'))
    kept, left = fitting(ranked(changed, sources), read())
    for path in left:
        print(f'left to `make test`, for want of time: {path}', file=sys.stderr)
    print('\n'.join(kept))


if __name__ == '__main__':
    main()
