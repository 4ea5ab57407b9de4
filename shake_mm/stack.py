"""Which OpenMMLab is installed, whether shake_mm works with it, and what to run where it does not.

Three stacks are supported, see ``docs/compatibility.md``: OpenMMLab's last releases beside the torch that they were
built for (``classic``) and beside a newer one (``current``), and the line that OneDL maintains (``onedl``), which has
other distributions with the same modules in them. Nothing of the stack is imported here, so asking is cheap.
"""

import re
import sys
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

DISTRIBUTIONS = {
    'torch': {'torch': '>=2.0'},
    'mmengine': {'mmengine': '>=0.10.7,<1', 'mmengine-lite': '>=0.10.7,<1', 'onedl-mmengine': '>=0.10.8,<1'},
    'mmcv': {'mmcv': '>=2.0,<2.4', 'mmcv-lite': '>=2.0,<2.4', 'onedl-mmcv': '>=2.3,<2.4'},
    'mmpretrain': {'mmpretrain': '>=1.2,<1.3', 'onedl-mmpretrain': '>=1.3,<1.4'},
    'mmdet': {'mmdet': '>=3.3,<3.4', 'onedl-mmdetection': '>=3.5,<3.6'},
    'mmseg': {'mmsegmentation': '>=1.2,<1.3', 'onedl-mmsegmentation': '>=1.4,<1.5'},
    'mmrazor': {'mmrazor': '>=1.0,<1.1'},
}
"""By module, the distributions that carry it and the versions that work; which other packages refuse is asked below."""

REQUIRED = ('torch', 'mmengine', 'mmcv')
"""Modules without which nothing works; the others are asked for by what needs them."""

_MMCV = {
    'classic': "mim install 'mmcv>=2.0,<2.2'",
    'current': "pip install 'setuptools<81' ninja && pip install --no-build-isolation --no-cache-dir 'mmcv>=2.1,<2.2'",
    'onedl': "pip install --no-build-isolation --no-cache-dir 'onedl-mmcv>=2.3,<2.4'",
}
"""Its operators are compiled: prebuilt for the classic torch, else built against the torch that is there, which pip's
cache does not ask for."""


NO_MMRAZOR = (
    "shake_mm needs mmrazor, which is not part of OneDL's line and refuses its mmcv: choose what is not mmrazor's, or "
    "install OpenMMLab's own packages."
)


@dataclass(frozen=True)
class Found:
    """An installed package: the distributions that carry the module, and the module's own version."""

    distributions: tuple[str, ...]
    version: str

    def __str__(self) -> str:
        return f'{" and ".join(self.distributions)} {self.version}'

    @property
    def is_onedl(self) -> bool:
        """Whether it comes from the line that OneDL maintains."""
        return self.distributions[0].startswith('onedl-')


def find(module: str) -> Found | None:
    """Look for a module of the stack; the version is asked of the module where it is imported already.

    A source tree on ``PYTHONPATH`` has no metadata: its ``version.py`` is read then.
    """
    if sys.modules.get(module, module) is None:
        return None
    try:
        spec = find_spec(module)
    except ValueError:  # a module that was put together by hand
        spec = None
    if spec is None:
        return None
    versions = {name: version for name in DISTRIBUTIONS[module] if (version := _distribution_version(name))}
    version = getattr(sys.modules.get(module), '__version__', None) or next(iter(versions.values()), None)
    version = version or _source_version(spec.origin)
    return Found(tuple(versions) or (module,), str(version)) if version else None


def _distribution_version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _source_version(init: str | None) -> str | None:
    """The ``__version__`` that a package's ``version.py`` assigns, without running it."""
    path = Path(init or '').with_name('version.py')
    text = path.read_text(encoding='utf-8') if path.is_file() else ''
    match = re.search(r"""^__version__\s*=\s*["']([^"']+)""", text, re.MULTILINE)
    return match.group(1) if match else None


def name() -> str:
    """Say which stack this is, ``'classic'``, ``'current'`` or ``'onedl'``, as far as anything of it is installed."""
    if any(found.is_onedl for found in map(find, DISTRIBUTIONS) if found):
        return 'onedl'
    torch = find('torch')
    return 'classic' if torch and not _allows('>=2.6', torch.version) else 'current'


def describe() -> str:
    """Tell in a line which stack was found, with the version of each of its packages."""
    found = [str(package) for package in map(find, DISTRIBUTIONS) if package]
    return f'the {name()} stack: {", ".join(found) or "nothing"}'


def problem(module: str) -> str:
    """Say in one sentence why a module of the stack does not work here, and what to run; '' where it does."""
    found = find(module)
    if found and len(found.distributions) > 1:
        both = found.distributions
        return (
            f'{" and ".join(both)} overwrite each other: run `pip uninstall {" ".join(both)}`, then `{_mend(module)}`.'
        )
    wanted = DISTRIBUTIONS[module][found.distributions[0] if found else _distribution(module)]
    if module == 'torch' and found and not _allows('>=2.4', found.version) and name() == 'onedl':
        wanted = '>=2.4'
    if module == 'mmrazor' and not found and name() == 'onedl':
        return NO_MMRAZOR
    if not found or not _allows(wanted, found.version):
        state = f'{module} is {found.version}' if found else f'{module} is not installed'
        return f'shake_mm needs {module}{wanted}, but {state} ({describe()}): run `{_mend(module, wanted)}`.'
    return _operators_problem(module, found) if module in ('mmdet', 'mmseg') else ''


def _operators_problem(module: str, package: Found) -> str:
    """What mmdet and mmseg need of mmcv: its compiled operators, and those of OpenMMLab a version before 2.2."""
    mmcv = find('mmcv')
    if mmcv is None:
        return problem('mmcv')
    if not package.is_onedl and not _allows('<2.2', mmcv.version):
        return (
            f'{module} {package.version} refuses mmcv {mmcv.version}: run `{_mend("mmcv")}`, or move to OneDL, whose '
            f'{list(DISTRIBUTIONS[module])[-1]} takes it.'
        )
    if not has_operators():
        return (
            f'{module} needs the compiled operators of mmcv, which {mmcv} lacks: '
            f'run `pip uninstall {mmcv.distributions[0]}`, then `{_mend("mmcv")}`.'
        )
    return ''


def has_operators() -> bool:
    """Whether mmcv carries its compiled operators: mmcv-lite does not, nor does one that was built without torch."""
    spec = find_spec('mmcv') if find('mmcv') else None
    return any(True for folder in (spec and spec.submodule_search_locations) or () for _ in Path(folder).glob('_ext.*'))


def check_versions() -> None:
    """Raise an ImportError of one sentence when a package that shake_mm needs is missing or does not fit.

    Raises:
        ImportError: It names the package, the stack that was found, and the command that mends that stack.
    """
    for module in REQUIRED:
        sentence = problem(module)
        if sentence:
            raise ImportError(sentence)


def _distribution(module: str) -> str:
    """The distribution of this stack that carries a module."""
    names = list(DISTRIBUTIONS[module])
    return names[-1] if name() == 'onedl' else names[0]


def _mend(module: str, wanted: str = '') -> str:
    """The command that installs a module for the stack that was found."""
    if module == 'mmcv':
        return _MMCV[name()]
    distribution = _distribution(module)
    return f"pip install '{distribution}{wanted or DISTRIBUTIONS[module][distribution]}'"


def _allows(wanted: str, version: str) -> bool:
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(wanted).contains(version, prereleases=True)
