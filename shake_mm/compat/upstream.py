"""Look at upstream before something of it is changed."""

import logging
from collections.abc import Callable
from functools import wraps
from pkgutil import resolve_name

LOGGER = logging.getLogger('shake_mm.compat')


def needs(*names: str) -> Callable[[Callable[[], bool]], Callable[[], bool]]:
    """Let a workaround or patch act only where upstream has these names; where it lacks one, a debug message says so.

    Args:
        names (str): Objects of upstream, as ``'package.module:Class.attribute'``.
    """

    def decorate(change: Callable[[], bool]) -> Callable[[], bool]:
        @wraps(change)
        def act() -> bool:
            for name in names:
                try:
                    resolve_name(name)
                except (ImportError, AttributeError):
                    LOGGER.debug('%s does nothing, since %s does not exist', change.__name__, name)
                    return False
            return change()

        return act

    return decorate
