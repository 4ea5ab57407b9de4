"""Imports that wait: what must happen when a package is imported, and parts of ours that need one to be there.

Nothing in here imports torch or OpenMMLab.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from .errors import UsageError

Around = Callable[[Callable[[], None]], None]
"""Is given what executes a module, once or, after a failure, again."""


def around_import(name: str, around: Around) -> None:
    """Let a function execute a module when it is imported for the first time.

    Args:
        name (str): The module, which must not have been imported yet. It may be missing.
        around (callable): Called in the place of the module's execution, with a function that executes it.
    """
    sys.meta_path.insert(0, _Watch(name, around))


def when_imported(name: str, act: Callable[[], Any]) -> None:
    """Call a function as soon as a module has been imported: now if it was already.

    Args:
        name (str): The module, which may be missing.
        act (callable): What to do.
    """
    if name in sys.modules:
        act()
        return

    def execute_and_act(execute: Callable[[], None]) -> None:
        execute()
        act()

    around_import(name, execute_and_act)


def loaded_class(module: str, name: str) -> tuple[type, ...]:
    """A class of a module that somebody has imported, for ``isinstance``; none if nobody has.

    No object is an instance of a class whose module was never imported, so nothing need be imported to find out.
    """
    kind = getattr(sys.modules.get(module), name, None)
    return () if kind is None else (kind,)


def is_installed(package: str) -> bool:
    """Whether a package could be imported; it is not."""
    try:
        return package in sys.modules or find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def lazy_parts(package: str, modules: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """A ``__getattr__`` for a package: the names of some of its modules, which are imported when one is asked for.

    Args:
        package (str): The package's ``__name__``.
        modules (dict): By module of the package, the names that it defines.
    """
    where = {name: module for module, names in modules.items() for name in names}

    def get(name: str) -> Any:
        if name not in where:
            raise AttributeError(f'module {package!r} has no attribute {name!r}')
        return getattr(import_module(f'{package}.{where[name]}'), name)

    return get


def import_parts(package: str, modules: Mapping[str, str]) -> None:
    """Import those modules of a package that need another one, where that is installed.

    Args:
        package (str): The package's ``__name__``.
        modules (dict): By module of the package, what it needs.
    """
    for module, needed in modules.items():
        if is_installed(needed):
            import_module(f'{package}.{module}')


class _Watch(MetaPathFinder):
    """Finds one module by the other finders, and puts a function around its execution."""

    def __init__(self, name: str, around: Around) -> None:
        self.name, self.around = name, around

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Answer for the one module, once it can be found."""
        if name != self.name:
            return None
        # Those before this one were asked already; of several watches of one module each wraps what the next finds.
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            spec = finder.find_spec(name, path, target) if hasattr(finder, 'find_spec') else None
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader, self)
                return spec
        return None


class _Loader(Loader):
    """Executes a module by its own loader, which the module keeps."""

    def __init__(self, loader: Loader, watch: _Watch) -> None:
        self.loader, self.watch = loader, watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Create what the own loader creates."""
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Let the function execute the module; the watch ends."""
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        module.__loader__ = self.loader
        if self.watch in sys.meta_path:
            sys.meta_path.remove(self.watch)
        self.watch.around(lambda: self.loader.exec_module(module))


def refuse_missing(package: str, what: str, install: str) -> None:
    """Refuse what needs a package that is not installed.

    Args:
        package (str): The package.
        what (str): What needs it.
        install (str): The command that installs it.

    Raises:
        UsageError: With the command.
    """
    if not is_installed(package):
        raise UsageError(f'{what} needs {package}, which is not installed: run `{install}`.')
