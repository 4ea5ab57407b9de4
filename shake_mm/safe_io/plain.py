"""What a file gave, looked at once more: plain values only, of a size and depth that every reader can walk."""

from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from .errors import damaged

MAX_DEPTH = 100
MAX_VALUES = 50_000_000
MAX_BITS = 1000
"""Of a whole number: one beyond cannot be told in a message, nor become a float."""
_CONTAINERS = (list, tuple, dict, set, frozenset, OrderedDict, Counter, torch.Size)
_LEAVES = (
    (type(None), bool, int, float, complex, str, bytes, np.ndarray, HistoryBuffer)
    + (torch.Tensor, torch.dtype, torch.device)
)  # fmt: skip


def check_plain(root: Any, foreign: Callable[[Any], Exception] | None = None) -> Any:
    """Refuse values that hold themselves, or that unfold to far more than what was read.

    Whoever walks such values later, to copy, print or move them, would not come to an end.

    Args:
        root (Any): The values.
        foreign (callable, optional): Gives the error for a value of another type; without it any type passes.

    Returns:
        Any: ``root``.

    Raises:
        Refused: If they are such.
    """
    walk = _Walk(foreign)
    walk.stack.append(root)
    while walk.stack:
        walk.step(walk.stack[-1])
    return root


class _Walk:
    """A walk through containers, depth first and without recursion; each is measured once.

    Args:
        foreign (callable, optional): Gives the error for a value of another type.
    """

    def __init__(self, foreign: Callable[[Any], Exception] | None) -> None:
        self.stack: list[Any] = []
        self._foreign = foreign
        self._sizes: dict[int, tuple[int, int]] = {}  # values and depth of what is measured
        self._above: set[int] = set()  # what is being walked

    def step(self, value: Any) -> None:
        """Look at the value on top of the stack: measure it, or put its parts before it."""
        if type(value) not in _CONTAINERS:
            known = type(value) in _LEAVES or isinstance(value, np.generic)
            if self._foreign is not None and not known:
                raise self._foreign(value)
            if type(value) is int and value.bit_length() > MAX_BITS:
                raise damaged('a whole number of thousands of digits')
            self.stack.pop()
        elif id(value) in self._sizes:
            self.stack.pop()
        elif id(value) in self._above:  # all its parts are measured
            self._sizes[id(value)] = self._measure(_parts(value))
            self._above.remove(id(value))
            self.stack.pop()
        else:
            self._above.add(id(value))
            for part in _parts(value):
                if id(part) in self._above:
                    raise damaged('it holds itself')
                self.stack.append(part)

    def _measure(self, parts: list[Any]) -> tuple[int, int]:
        below = [self._sizes[id(part)] for part in parts if type(part) in _CONTAINERS]
        total = 1 + len(parts) - len(below) + sum(number for number, _ in below)
        depth = 1 + max((depth for _, depth in below), default=0)
        if total > MAX_VALUES:
            raise damaged('its values unfold without end')
        if depth > MAX_DEPTH:
            raise damaged('it is nested too deeply')
        return total, depth


def is_key(value: Any) -> bool:
    """Whether a value may be a key.

    Hashing deeply nested tuples would end the process. Of numbers beyond 2^31 one can make any number of tuples of one
    hash, among which a dictionary does not come to an end.
    """
    if type(value) is tuple:
        return all(_is_word(part) or (type(part) is int and abs(part) < 2**31) for part in value)
    return _is_word(value) or type(value) is float or (type(value) is int and abs(value) < 2**64)


def _is_word(value: Any) -> bool:
    return type(value) in (str, bool, bytes, type(None))


def _parts(value: Any) -> list:
    return [part for item in value.items() for part in item] if isinstance(value, dict) else list(value)
