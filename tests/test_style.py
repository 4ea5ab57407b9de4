"""House rules that no linter knows: sizes of files and functions, docstrings that say something."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ('shake_mm', 'tools', 'tests', 'benchmarks', 'analysis')
FILE, FUNCTION, DOCSTRING = 300, 60, 28
"""Lines of a file and of a function at most, characters of a public docstring at least."""

PATHS = [
    path.relative_to(ROOT).as_posix()
    for folder in FOLDERS
    for path in sorted((ROOT / folder).rglob('*.py'))
    if '.mim' not in path.parts
]
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def public(node: ast.AST, prefix: str = '') -> Iterator[tuple[str, Definition]]:
    """Public classes, methods and functions, not those inside of functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Definition) and not child.name.startswith('_'):
            yield prefix + child.name, child
            if isinstance(child, ast.ClassDef):
                yield from public(child, f'{prefix}{child.name}.')


def long_functions(source: str) -> list[str]:
    """Functions above the limit."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    return [node.name for node in functions if node.end_lineno - node.lineno + 1 > FUNCTION]


def short_docstrings(source: str) -> list[str]:
    """Public names whose docstring is there and too short to say anything; ruff finds those without one."""
    found = ((name, ast.get_docstring(node)) for name, node in public(ast.parse(source)))
    return [f'{name}: {text}' for name, text in found if text is not None and len(text) < DOCSTRING]


def test_sizes():
    sources = {path: (ROOT / path).read_text() for path in PATHS}
    assert {path: len(lines) for path in PATHS if len(lines := sources[path].splitlines()) > FILE} == {}
    assert {path: names for path in PATHS if (names := long_functions(sources[path]))} == {}


def test_docstrings_say_something():
    paths = [path for path in PATHS if not path.startswith('tests/')]
    assert {path: texts for path in paths if (texts := short_docstrings((ROOT / path).read_text()))} == {}


def test_the_rules_find_what_they_forbid():
    body = '    pass\n' * FUNCTION
    assert long_functions(f'def f():\n{body}') == ['f'] and not long_functions(f'def f():\n{body[9:]}')
    source = 'class A:\n    """Runs."""\n    def b(self):\n        """Run."""\n    def _c(self):\n        """Hm."""\n'
    assert short_docstrings(source) == ['A: Runs.', 'A.b: Run.']
    assert not short_docstrings(f'def f():\n    """{"x" * DOCSTRING}"""\n')
