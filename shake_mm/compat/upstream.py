"""Look at upstream before something of it is changed."""

import inspect
import logging
from collections.abc import Callable
from functools import wraps
from pkgutil import resolve_name

LOGGER = logging.getLogger('shake_mm.compat')


def needs(*names: str) -> Callable[[Callable[[], bool]], Callable[[], bool]]:
    """Let a workaround or patch act only where upstream looks as it expects.

    Where a name is missing, takes other arguments, or the change finds something else that it does not know, upstream
    is left alone and a debug message says so: an import never fails by what was to mend it.

    Args:
        names (str): Objects of upstream, as ``'package.module:Class.attribute'``. With the first arguments behind it,
            ``'package.module:function(a, b)'``, it has to begin with these.
    """

    def decorate(change: Callable[[], bool]) -> Callable[[], bool]:
        @wraps(change)
        def act() -> bool:
            reason = next(filter(None, map(_difference, names)), '')
            if not reason:
                try:
                    return change()
                except Exception as error:  # of whatever another version raises where this one has been looked at
                    reason = f'{type(error).__name__}: {error}'
            LOGGER.debug('%s does nothing, since %s', change.__name__, reason)
            return False

        return act

    return decorate


def _difference(name: str) -> str:
    """How upstream differs from what a change expects of this name; '' where it does not."""
    path, _, arguments = name.rstrip(')').partition('(')
    try:
        found = resolve_name(path)
    except (ImportError, AttributeError):
        return f'{path} does not exist'
    expected = arguments.split(', ') if arguments else []
    taken = list(inspect.signature(found).parameters)[: len(expected)] if expected else []
    return '' if taken == expected else f'{path} begins with the arguments {taken} and not with {expected}'
