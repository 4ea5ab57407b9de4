"""The packages of OpenMMLab that a config asks for, of which none but mmengine and mmcv need be installed."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

from ..errors import UsageError
from ..stack import DISTRIBUTIONS, problem


def check_packages(cfg: Config) -> None:
    """Refuse a config whose scopes belong to a package that is not installed, or of a version that does not fit.

    Args:
        cfg (Config): The config.

    Raises:
        UsageError: Naming the package, and what to install.
    """
    asked = scopes_in(cfg)
    for package in DISTRIBUTIONS:
        reason = problem(package) if package in asked else ''
        if reason:
            raise UsageError(reason.replace('shake_mm needs', f'config {cfg.filename} needs', 1))


def scopes_in(cfg: Config) -> set[str]:
    """The scopes that a config names, and the first parts of its types that have one."""
    return set(_scopes(cfg.to_dict()))


def _scopes(value: Any) -> Iterator[str]:
    """What stands before the dot of types, and the scopes that are named."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key in ('_scope_', 'default_scope') and isinstance(item, str):
                yield item
            elif key == 'type' and isinstance(item, str):
                yield item.partition('.')[0]
            else:
                yield from _scopes(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _scopes(item)
