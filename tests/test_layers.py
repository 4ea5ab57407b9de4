"""The layers of the package: a module imports from its own layer and those below it, annotations included."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / 'shake_mm'
LAYERS = (
    ('errors', 'version', 'stack'),
    ('imports',),
    ('utils', 'validation', 'options'),
    ('safe_io',),
    ('compat', 'atomic'),
    ('outputs', 'locks'),
    ('registry', 'explain'),
    ('taps',),
    ('losses', 'connectors', 'models', 'datasets', 'evaluation', 'optim'),
    ('tasks',),
    ('members',),
    ('proxies',),
    ('engine',),
    ('distillers',),
    ('loops', 'hooks'),
    ('checks', 'deploy', 'export', 'switches', 'grid', 'reports'),
    ('run_report',),
    ('api',),
    ('cli', '__main__'),
)
"""From the bottom up. What is in no layer may be imported by nothing here."""

LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def part_of(module):
    return module.split('.')[0]


def imports(path):
    """The parts of the package that a file imports, wherever in the file it does."""
    here = path.relative_to(PACKAGE).with_suffix('').parts
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = here[: len(here) - node.level]
            for name in [node.module] if node.module else [alias.name for alias in node.names]:
                yield '.'.join((*base, name))
        elif isinstance(node, ast.ImportFrom) and (node.module or '').startswith('shake_mm.'):
            yield node.module.removeprefix('shake_mm.')


FILES = [path for path in sorted(PACKAGE.rglob('*.py')) if path != PACKAGE / '__init__.py']


def test_no_module_imports_upwards():
    upwards = []
    for path in FILES:
        own = LEVEL[part_of('.'.join(path.relative_to(PACKAGE).with_suffix('').parts))]
        upwards += [(path.name, name) for name in imports(path) if LEVEL.get(part_of(name), len(LAYERS)) > own]
    assert not upwards


def test_nothing_is_imported_for_annotations_alone():
    assert not [path for path in FILES if 'TYPE_CHECKING' in path.read_text(encoding='utf-8')]
