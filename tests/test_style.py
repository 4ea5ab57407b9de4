"""House rules that no linter knows: sizes of files and functions, docstrings and tests that say something."""

import ast
from collections.abc import Iterator
from functools import cache
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
parse = cache(ast.parse)


def public(node: ast.AST, prefix: str = '') -> Iterator[tuple[str, Definition]]:
    """Public classes, methods and functions, not those inside of functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Definition) and not child.name.startswith('_'):
            yield prefix + child.name, child
            if isinstance(child, ast.ClassDef):
                yield from public(child, f'{prefix}{child.name}.')


def long_functions(source: str) -> list[str]:
    """Functions above the limit."""
    functions = [node for node in ast.walk(parse(source)) if isinstance(node, ast.FunctionDef)]
    return [node.name for node in functions if node.end_lineno - node.lineno + 1 > FUNCTION]


def short_docstrings(source: str) -> list[str]:
    """Public names whose docstring is there and too short to say anything; ruff finds those without one."""
    found = ((name, ast.get_docstring(node)) for name, node in public(parse(source)))
    return [f'{name}: {text}' for name, text in found if text is not None and len(text) < DOCSTRING]


def asserts(node: ast.AST) -> bool:
    """Whether this is an assertion, or a call that is one by its name."""
    called = getattr(node, 'func', None)
    name = getattr(called, 'attr', getattr(called, 'id', ''))
    return isinstance(node, ast.Assert) or name.startswith('assert') or name in ('raises', 'warns', 'gradcheck')


def is_test(node: ast.AST) -> bool:
    """Whether pytest would run it."""
    return getattr(node, 'name', '').startswith('test_')


def silent_tests(sources: dict[str, str]) -> list[str]:
    """Tests that assert nothing, nor do their helpers and fixtures: they show that nothing is raised, and no more."""
    nodes = {path: list(ast.walk(parse(text))) for path, text in sources.items()}
    home = {node: path for path, found in nodes.items() for node in found if isinstance(node, Definition)}
    tables = {node: path for path, text in sources.items() for node in parse(text).body if isinstance(node, ast.Assign)}
    shared = {node.name: node for node in home}
    known = {(None, node.name): node for node, path in home.items() if path.endswith('conftest.py')}
    for path, found in nodes.items():
        imports = [n for n in found if isinstance(n, ast.ImportFrom) and (n.level or n.module.startswith('tests'))]
        known |= {(path, alias.name): shared.get(alias.name) for node in imports for alias in node.names}
    known |= {(path, getattr(node.targets[0], 'id', '')): node for node, path in tables.items()}  # of helpers
    known |= {(path, node.name): node for node, path in home.items()}
    home |= tables

    def speaks(reached: list[ast.AST]) -> bool:
        for node in reached:  # which grows
            parts = list(ast.walk(node))
            if any(map(asserts, parts)):
                return True
            names = {getattr(part, 'id', getattr(part, 'arg', None)) for part in parts}  # of what it uses, of fixtures
            helpers = {known.get((home[node], name), known.get((None, name))) for name in names}
            reached.extend(helpers - {None, *reached})
        return False

    return [f'{home[node]}: {node.name}' for node in home if is_test(node) and not speaks([node])]


def test_sizes():
    sources = {path: (ROOT / path).read_text() for path in PATHS}
    assert {path: len(lines) for path in PATHS if len(lines := sources[path].splitlines()) > FILE} == {}
    assert {path: names for path in PATHS if (names := long_functions(sources[path]))} == {}


def test_docstrings_say_something():
    paths = [path for path in PATHS if not path.startswith('tests/')]
    assert {path: texts for path in paths if (texts := short_docstrings((ROOT / path).read_text()))} == {}


def test_every_test_asserts_something():
    assert silent_tests({path: (ROOT / path).read_text() for path in PATHS if path.startswith('tests/')}) == []


def test_the_rules_find_what_they_forbid():
    body = '    pass\n' * FUNCTION
    assert long_functions(f'def f():\n{body}') == ['f'] and not long_functions(f'def f():\n{body[9:]}')
    source = 'class A:\n    """Runs."""\n    def b(self):\n        """Run."""\n    def _c(self):\n        """Hm."""\n'
    assert short_docstrings(source) == ['A: Runs.', 'A.b: Run.']
    assert not short_docstrings(f'def f():\n    """{"x" * DOCSTRING}"""\n')
    silent = silent_tests(
        {
            'tests/conftest.py': '@fixture\ndef run():\n    assert 1\n',
            'tests/helpers.py': 'def inner():\n    assert 1\ndef outer():\n    inner()\ndef check(): ...\n',
            'tests/test_a.py': 'from .helpers import outer\nfrom b import inner\ndef test_a():\n    outer()\n'
            'def test_b(run): ...\ndef test_c():\n    with pytest.raises(E): ...\ndef test_d():\n    inner()\n',
        }
    )
    assert silent == ['tests/test_a.py: test_d']
