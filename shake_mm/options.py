"""``key=value`` pairs of a command line: mmengine's rules, for values with spaces and brackets of their own too."""

import os.path as osp
import re
from typing import Any

from mmengine.config import DictAction

CACHES = osp.join('work_dirs', 'teacher_cache')
"""Where the logits of teachers are kept, unless somebody says otherwise."""

PAIRS = {'(': ')', '[': ']'}
DEEPEST = 32
_DICT = re.compile(r'[\[(\s]*(\{\s*[\'"\w]+\s*:|dict\()')


def parse_option(pair: str) -> tuple[str, Any]:
    """Parse one pair.

    As in mmengine's ``DictAction``, ``key=a,b`` and ``key=[a,b]`` are lists, ``key=(a,b)`` a tuple, at any depth.
    Unlike there, ``data_root=/my data/set(1,2)`` is a path, whose spaces stay: only commas outside of brackets
    separate.

    Args:
        pair (str): The pair.

    Returns:
        tuple[str, Any]: Dotted key and value.

    Raises:
        ValueError: If it is no pair, holds a dict, or the brackets of a list are not balanced.
    """
    key, equals, text = pair.partition('=')
    if _DICT.match(text.strip('\'" ')):
        first = f'{key}.0.' if text.strip('\'" ')[:1] in PAIRS else f'{key}.'
        raise ValueError(
            f"'{pair}' holds a dict, which no value can: set its entries by their keys, {first}type=…, or write it "
            'into a config that inherits this one'
        )
    if not equals or not all(part.strip() for part in key.split('.')):
        raise ValueError(f"'{pair}' is no key=value pair")
    return key, _value(text, 0)


def _value(text: str, depth: int) -> Any:
    text = text.strip().strip('\'"')
    if depth > DEEPEST:
        raise ValueError('brackets nest too deep')
    enclosed = text[:1] in PAIRS and _end(text) == len(text) - 1
    parts = _split(text[1:-1] if enclosed else text)
    if not enclosed and len(parts) == 1:
        return DictAction._parse_int_float_bool(text)
    values = [_value(part, depth + 1) for part in (parts if parts[-1].strip() else parts[:-1])]
    return tuple(values) if enclosed and text[0] == '(' else values


def _end(text: str) -> int:
    """Where the bracket closes that a text begins with; -1 if it does not."""
    open_ones: list[str] = []
    for i, letter in enumerate(text):
        if letter in PAIRS:
            open_ones.append(PAIRS[letter])
        elif letter in PAIRS.values():
            if open_ones.pop() != letter:
                return -1
            if not open_ones:
                return i
    return -1


def _split(text: str) -> list[str]:
    """Split at commas outside of brackets; brackets in what is no list may be as they like."""
    parts, depth = [''], 0
    for letter in text:
        depth += (letter in PAIRS) - (letter in PAIRS.values())
        if letter == ',' and depth == 0:
            parts.append('')
        else:
            parts[-1] += letter
    if depth and ',' in text:
        raise ValueError(f"'{text}' has brackets that are not balanced")
    return parts
