"""Imports that wait: what must happen when a package is imported, and parts of ours that need one to be there.

Nothing in here imports torch or OpenMMLab.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from .errors import UsageError
from .stack import problem

Around = Callable[[Callable[[], None]], None]
"""Is given what executes a module, once or, after a failure, again."""


def around_import(name: str, around: Around) -> Callable[[], None]:
    """Let a function execute a module when it is imported for the first time.

    Args:
        name (str): The module, which must not have been imported yet. It may be missing.
        around (callable): Called in the place of the module's execution, with a function that executes it.

    Returns:
        callable: Ends the waiting.
    """
    watch = _Watch(name, around)
    sys.meta_path.insert(0, watch)
    return watch.end


def when_imported(name: str, act: Callable[[], Any]) -> Callable[[], None]:
    """Call a function as soon as a module has been imported: now if it was already.

    Args:
        name (str): The module, which may be missing.
        act (callable): What to do.

    Returns:
        callable: Ends the waiting.
    """
    if name in sys.modules:
        act()
        return lambda: None

    def execute_and_act(execute: Callable[[], None]) -> None:
        execute()
        act()

    return around_import(name, execute_and_act)


def loaded_class(module: str, name: str) -> tuple[type, ...]:
    """A class of a module that somebody has imported, for ``isinstance``; none if nobody has.

    No object is an instance of a class whose module was never imported, so nothing need be imported to find out.
    """
    kind = getattr(sys.modules.get(module), name, None)
    return () if kind is None else (kind,)


def lazy_parts(
    package: str, modules: Mapping[str, Sequence[str]], needs: Mapping[str, str] | None = None
) -> Callable[[str], Any]:
    """A ``__getattr__`` for a package: the names of some of its modules, which are imported when one is asked for.

    Args:
        package (str): The package's ``__name__``.
        modules (dict): By module of the package, the names that it defines.
        needs (dict): By module, the package without which it cannot be imported; its lack is told in a sentence.
    """
    where = {name: module for module, names in modules.items() for name in names}

    def get(name: str) -> Any:
        if name not in where:
            raise AttributeError(f'module {package!r} has no attribute {name!r}')
        module = where[name]
        if needs is not None:
            require(needs[module], f'shake_mm.{name}')
        return getattr(import_module(f'{package}.{module}'), name)

    return get


def require(package: str, what: str) -> None:
    """Refuse what needs a package of OpenMMLab's that is not installed, or of another version.

    Args:
        package (str): The package.
        what (str): What needs it.

    Raises:
        UsageError: With the command that installs it.
    """
    reason = problem(package)
    if reason:
        raise UsageError(reason.replace('shake_mm needs', f'{what} needs', 1))


class _Watch(MetaPathFinder):
    """Finds one module by the other finders, and puts a function around its execution."""

    def __init__(self, name: str, around: Around) -> None:
        self.name, self.around = name, around

    def end(self) -> None:
        """Watch no longer for the module."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

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
        self.watch.end()
        self.watch.around(lambda: self.loader.exec_module(module))
