"""The table of CONTRIBUTING.md: who adds a part is told here which tests it still lacks."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from mmengine.registry import Registry
from packaging.version import Version
from torch import nn

from shake_mm import __version__
from shake_mm.registry import DATASETS, MODELS, TASKS

from .configs import test_detectors
from .connectors import test_every_connector
from .datasets import test_every_dataset
from .losses import test_metamorphic, test_numerics, test_refusals
from .proxies import test_every_proxy
from .tasks import test_every_task

ROOT = Path(__file__).resolve().parents[1]
TABLE = (ROOT / 'CONTRIBUTING.md').read_text(encoding='utf-8').split('## To add')[1].split('\n## ')[0]
METHODS = Path('configs/_base_/methods')


class Kind(NamedTuple):
    """A kind of part.

    Args:
        parts: Lists the parts that are there, by name, with the file that each is in.
        rows: For each test file of the table, the names that it has rows of.
    """

    parts: Callable[[], dict[str, str]]
    rows: dict[str, Callable[[], Iterable[str]]]


def registered(registry: Registry, package: str) -> Callable[[], dict[str, str]]:
    """Lists the classes of a package that a registry knows, under any number of names."""

    def parts() -> dict[str, str]:
        getattr(registry, 'import_all', registry.import_from_location)()
        modules = {cls.__name__: cls.__module__ for cls in registry.module_dict.values()}
        return {name: module for name, module in modules.items() if module.startswith(f'shake_mm.{package}.')}

    return parts


def classes(cases: Iterable[str]) -> set[str]:
    """Names of classes, from rows such as ``'FTLoss, attention'``."""
    return {case.partition(',')[0] for case in cases}


def mirrored(parts: Callable[[], dict[str, str]]) -> Callable[[], set[str]]:
    """Names of the parts whose module has a test file of its own."""

    def names() -> set[str]:
        paths = {name: module.split('.')[1:] for name, module in parts().items()}
        return {
            n for n, (*folders, file) in paths.items() if (ROOT / 'tests' / Path(*folders, f'test_{file}.py')).is_file()
        }

    return names


def methods() -> dict[str, str]:
    """The files of methods, by stem; not those that hold a former name, one line that inherits."""
    files = {path.stem: path.read_text() for path in (ROOT / METHODS).glob('*.py')}
    return {stem: text for stem, text in files.items() if not re.fullmatch(r"(#.*\n)*_base_ = '\./\w+\.py'\n", text)}


def with_a_cell() -> set[str]:
    """The methods that a config of a pair, or another method, inherits."""
    configs = [path.read_text() for path in (ROOT / 'configs').glob('*/*.py')]
    used = set(re.findall(r'methods/(\w+)\.py', '\n'.join(configs)))
    return used | {base for text in methods().values() for base in bases(text)}


def explained() -> set[str]:
    """The methods that a README names, by file or by the beginning of their configs' names, and variants of such."""
    pages = '\n'.join(path.read_text(encoding='utf-8') for path in (ROOT / 'configs').glob('*/README.md'))
    pages += (ROOT / 'docs/shake_forms.md').read_text(encoding='utf-8')
    every = methods()

    def named(stem: str) -> bool:
        pattern = rf'methods/{stem}\.py|`{stem.replace("_", "-")}(?![a-z0-9-])|\b{stem}\b'
        return bool(re.search(pattern, pages)) or any(base in every and named(base) for base in bases(every[stem]))

    return {stem for stem in every if named(stem)}


def bases(text: str) -> list[str]:
    """The files of the same folder that a config inherits."""
    return re.findall(r"'\./(\w+)\.py'", text.partition('\n\n')[0])


def detector_kinds() -> dict[str, str]:
    """Types of the students in the configs of detectors, by the config."""
    return {test_detectors.load(name).model.student.type: name for name in test_detectors.SHORT}


def on_the_page() -> set[str]:
    """Detectors that the page on detection names."""
    page = re.sub(r'[ -]', '', (ROOT / 'docs/detection.md').read_text(encoding='utf-8'))
    return {name for name in detector_kinds() if name in page}


LOSSES = registered(MODELS, 'losses')
CONNECTORS = registered(MODELS, 'connectors')
PROXIES = registered(MODELS, 'proxies')
TASK = registered(TASKS, 'tasks')
SETS = registered(DATASETS, 'datasets')
KINDS = {
    'loss': Kind(
        LOSSES,
        {
            'tests/losses/test_NAME.py': mirrored(LOSSES),
            'tests/losses/test_numerics.py': lambda: classes(test_numerics.OURS),
            'tests/losses/test_metamorphic.py': lambda: classes((*test_metamorphic.CASES, *test_metamorphic.ELSEWHERE)),
            'tests/losses/test_refusals.py': lambda: classes(test_refusals.REFUSALS),
        },
    ),
    'connector': Kind(
        CONNECTORS,
        {
            'tests/connectors/test_NAME.py': mirrored(CONNECTORS),
            'tests/connectors/test_every_connector.py': lambda: classes(test_every_connector.CASES),
        },
    ),
    'proxy': Kind(
        PROXIES,
        {
            'tests/proxies/test_NAME.py': mirrored(PROXIES),
            'tests/proxies/test_every_proxy.py': lambda: classes(test_every_proxy.CASES),
        },
    ),
    'method': Kind(lambda: methods(), {'configs/NAME/': with_a_cell, 'configs/NAME/README.md': explained}),
    'task': Kind(
        TASK,
        {
            'tests/tasks/test_NAME.py': mirrored(TASK),
            'tests/tasks/test_every_task.py': lambda: classes(test_every_task.CASES),
        },
    ),
    'detector': Kind(
        lambda: detector_kinds(),
        {'tests/configs/test_detectors.py': lambda: test_detectors.KINDS, 'docs/detection.md': on_the_page},
    ),
    'data set': Kind(
        SETS,
        {
            'tests/datasets/test_NAME.py': mirrored(SETS),
            'tests/datasets/test_every_dataset.py': lambda: classes(test_every_dataset.CASES),
        },
    ),
}


def missing(kind: str, name: str) -> list[str]:
    """The files of the table that know nothing of a part."""
    return [file for file, names in KINDS[kind].rows.items() if name not in set(names())]


@pytest.mark.parametrize('kind', KINDS)
def test_every_part_has_its_rows(kind):
    parts = KINDS[kind].parts()
    assert parts
    assert {name: lacking for name in parts if (lacking := missing(kind, name))} == {}


@contextmanager
def another(registry: Registry, module: str) -> Iterator[None]:
    """A registered part that nobody tests."""
    registry.register_module(module=type('Fictitious', (nn.Module,), {'__module__': module}))
    try:
        yield
    finally:
        del registry.module_dict['Fictitious']


@pytest.mark.parametrize(
    ('kind', 'registry', 'module'),
    [
        ('loss', MODELS, 'losses'),
        ('connector', MODELS, 'connectors'),
        ('proxy', MODELS, 'proxies'),
        ('task', TASKS, 'tasks'),
        ('data set', DATASETS, 'datasets'),
    ],
)
def test_a_part_without_tests_is_told_all_that_it_lacks(kind, registry, module):
    with another(registry, f'shake_mm.{module}.fictitious'):
        assert 'Fictitious' in KINDS[kind].parts()
        assert missing(kind, 'Fictitious') == list(KINDS[kind].rows)
        with pytest.raises(AssertionError, match='Fictitious'):
            test_every_part_has_its_rows(kind)
    assert 'Fictitious' not in KINDS[kind].parts()


@pytest.mark.parametrize(('kind', 'lister'), [('method', 'methods'), ('detector', 'detector_kinds')])
def test_a_file_without_tests_is_told_all_that_it_lacks(monkeypatch, kind, lister):
    known = globals()[lister]()
    monkeypatch.setitem(globals(), lister, lambda: {**known, 'fictitious': '# A method'})
    assert missing(kind, 'fictitious') == list(KINDS[kind].rows)
    with pytest.raises(AssertionError, match='fictitious'):
        test_every_part_has_its_rows(kind)


def test_the_table_names_what_is_enforced_and_what_exists():
    rows = {
        row[0].split(maxsplit=1)[1]: row
        for row in re.findall(r'^\| (an? .+?) \| (.+) \| (.+) \|$', TABLE, re.MULTILINE)
    }
    assert rows.keys() == KINDS.keys()
    for kind, (_, touched, tests) in rows.items():
        for file in KINDS[kind].rows:
            assert f'`{file}`' in touched + tests, f'{kind}: {file}'
        for path in re.findall(r'`([\w./-]+/[\w./-]*)`', touched + tests):
            assert re.search('NAME|TEACHER', path) or (ROOT / path).exists(), path


def test_the_changelog_knows_the_version_and_the_last_release():
    headings = re.findall(r'^## (.+)$', (ROOT / 'CHANGELOG.md').read_text(encoding='utf-8'), re.MULTILINE)
    release = Version(__version__).base_version
    unreleased = Version(__version__).is_devrelease
    assert headings[0] == f'Unreleased: {release}' if unreleased else headings[0].startswith(f'{release} - ')
    cited = re.search(r'^version: (.+)$', (ROOT / 'CITATION.cff').read_text(), re.MULTILINE)[1]
    assert re.fullmatch(rf'{re.escape(cited)} - \d{{4}}-\d\d-\d\d', headings[unreleased])
