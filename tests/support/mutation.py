"""Changes of files, drawn by chance: bytes that are lost, added or replaced, and values in the places of others."""

import copy
import json
import math
import random
from collections.abc import Iterator
from typing import Any

VALUES = (None, True, False, -1, 0, 3, 0.5, -0.5, math.nan, math.inf, '', 'x', '1', [], [1], ['x'], {}, {'type': 'X'})
VALUES += ((1, 2), {'a': 1}, 1e-9, 97)


def in_bytes(content: bytes, draw: random.Random) -> bytes:
    """Change some bytes, or cut the end off."""
    if draw.random() < 0.15:
        return content[: draw.randrange(len(content) + 1)]
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 5))):
        place, length = draw.randrange(len(changed) + 1), draw.randrange(1, 30)
        changed[place : place + draw.choice((0, 1, length))] = draw.choice(
            (draw.randbytes(1), b'', b'\xff\xff\xff\xff', draw.randbytes(4), changed[-length:], b'[' * 3000)
        )
    return bytes(changed)


def in_values(root: Any, draw: random.Random, values: tuple = VALUES) -> str:
    """Replace a value, take it out, or give it another name, in place; returns what was done."""
    *way, last = draw.choice(list(places(root)))
    part = root
    for step in way:
        part = part[step]
    told = '.'.join(map(str, (*way, last)))
    kind = draw.choice(('value', 'value', 'value', 'gone', 'name'))
    if kind == 'value' or (kind == 'name' and isinstance(part, list)):
        part[last] = copy.deepcopy(draw.choice(values))
        return f'{told} = {part[last]!r}'
    if kind == 'gone':
        del part[last]
        return f'{told} is gone'
    part[f'{last}_'] = part.pop(last)
    return f'{told} has another name'


def in_json(text: bytes, draw: random.Random) -> tuple[bytes, str]:
    """Change a value, or some bytes, of a JSON file; returns it with what was done."""
    if draw.random() < 0.3:
        return in_bytes(text, draw), 'bytes'
    content = json.loads(text)
    told = in_values(content, draw, (*VALUES, 10**30, -(10**30), 2**63, '\ud800', '../../x', [[]] * 3))
    return json.dumps(content).encode(), told


def places(part: Any, way: tuple = ()) -> Iterator[tuple]:
    """Keys of all values, at any depth."""
    entries = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, value in entries:
        yield (*way, key)
        yield from places(value, (*way, key))
