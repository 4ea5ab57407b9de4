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
    sizes: dict[int, tuple[int, int]] = {}  # values and depth of what is walked
    open_: set[int] = set()
    stack = [root]
    while stack:
        value = stack[-1]
        if type(value) not in _CONTAINERS:
            if foreign is not None and type(value) not in _LEAVES and not isinstance(value, np.generic):
                raise foreign(value)
            stack.pop()
            continue
        parts = _parts(value)
        if id(value) in sizes:
            stack.pop()
        elif id(value) in open_:  # all its parts are walked
            below = [sizes[id(part)] for part in parts if type(part) in _CONTAINERS]
            total = 1 + len(parts) - len(below) + sum(number for number, _ in below)
            depth = 1 + max((depth for _, depth in below), default=0)
            if total > MAX_VALUES or depth > MAX_DEPTH:
                raise damaged('its values unfold without end' if total > MAX_VALUES else 'it is nested too deeply')
            sizes[id(value)] = total, depth
            open_.remove(id(value))
            stack.pop()
        else:
            open_.add(id(value))
            for part in parts:
                if id(part) in open_:
                    raise damaged('it holds itself')
                if id(part) not in sizes:
                    stack.append(part)
    return root


def is_key(value: Any) -> bool:
    """Whether a value may be a key: hashing deeply nested tuples would end the process."""
    flat = value if type(value) is tuple else (value,)
    return all(
        type(part) in (str, bool, float, bytes, type(None)) or (type(part) is int and abs(part) < 2**64)
        for part in flat
    )


def _parts(value: Any) -> list:
    return [part for item in value.items() for part in item] if isinstance(value, dict) else list(value)
