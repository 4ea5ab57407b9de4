"""What a config that lies among results may name, before anything is built from it: folders travel between people."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mmengine.registry import registry

from ..errors import UsageError

PACKAGED = re.compile(r'\w+::(?!/)(?!.*\.\.)[\w./+-]+')
"""Configs of installed packages."""
PACKAGES = ('mmcv', 'mmdet', 'mmengine', 'mmpretrain', 'mmrazor', 'mmseg', 'shake_mm')
"""What a config may import: the stack itself."""
CONFIGS = ('.py', '.json', '.yml', '.yaml')
"""Endings of what mmengine reads as configs."""


def check_named(settings: Mapping[str, Any], run: str) -> None:
    """Refuse settings by which building a model would run what others wrote.

    Args:
        settings (dict): The config that a run kept.
        run (str): The run's name, for errors.

    Raises:
        UsageError: If they import other modules than the stack's, name a config that is none of an installed package,
            or ask a library to run code that comes with weights.
    """
    imported = (settings.get('custom_imports') or {}).get('imports') or ()
    for module in [imported] if isinstance(imported, str) else imported:
        if str(module).partition('.')[0] not in PACKAGES:
            raise _foreign(run, str(module))
    for key, value in _leaves(settings.get('model')):
        named = isinstance(value, str) and (value.endswith(CONFIGS) or '::' in value)
        if named and not PACKAGED.fullmatch(value):
            raise _foreign(run, value)
        if key == 'trust_remote_code' and value:
            raise _foreign(run, key)


def _foreign(run: str, what: str) -> UsageError:
    return UsageError(
        f'The config that {run} kept names {what}, and nothing is run because of what lies among results: if the run '
        'is yours, add --trust.'
    )


def _leaves(value: Any, key: str = '') -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _leaves(part, str(name))
    elif isinstance(value, list | tuple | set):
        for part in value:
            yield from _leaves(part, key)
    else:
        yield key, value


@contextmanager
def registered_alone(run: str) -> Iterator[None]:
    """Let configs name what registries list, and not, as mmengine has it, any function that can be imported.

    Args:
        run (str): The run's name, for errors.

    Raises:
        UsageError: If something else is named.
    """
    others: list[str] = []

    def refuse(name: str) -> None:
        if '.' in name:  # else there is nothing to import, and some other registry may list it
            others.append(name)
            raise LookupError(name)

    find, registry.get_object_from_string = registry.get_object_from_string, refuse
    try:
        yield
    except Exception as error:
        named = next((name for name in others if name in str(error)), None)
        if named is None:
            raise
        raise _foreign(run, named) from error
    finally:
        registry.get_object_from_string = find
