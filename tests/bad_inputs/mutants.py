"""Mutated configs: one value of a config that works is replaced, taken out, or given another name."""

import copy
import math
import random
from collections.abc import Iterator
from typing import Any

from shake_mm.errors import UsageError

from .site import Site

VALUES = (None, True, False, -1, 0, 3, 0.5, -0.5, math.nan, math.inf, '', 'x', '1', [], [1], ['x'], {}, {'type': 'X'})
VALUES += ((1, 2), {'a': 1}, 1e-9, 97)
LAST = 4
"""Optimizer steps after which a run counts as a right one."""


class Enough(UsageError):
    """Ends a run that trains as it should."""


def mutated(site: Site, seed: int) -> tuple[list[str], str]:
    """Write a mutated config.

    Args:
        site (Site): Where to.
        seed (int): What is drawn; every second one distills.

    Returns:
        tuple[list[str], str]: The command line of ``tools/train.py``, and what was changed.
    """
    draw = random.Random(seed)
    argv = site.kd() if seed % 2 else site.plain()
    config: dict[str, Any] = {'inf': math.inf, 'nan': math.nan}
    exec((site.path / 'run.py').read_text(), {}, config)  # which the site has written itself
    del config['inf'], config['nan']
    unread = ('experiment_name', 'work_dir')  # or what only a test reads
    places = [place for place in _places(config) if place[0] not in unread and not place[0].startswith('test_')]
    *way, last = draw.choice(places)
    part: Any = config
    for step in way:
        part = part[step]
    told = '.'.join(map(str, (*way, last)))
    kind = draw.choice(('value', 'value', 'value', 'gone', 'name'))
    if kind == 'value' or isinstance(part, list):
        part[last] = copy.deepcopy(draw.choice([v for v in VALUES if last != 'num_workers' or v != 97]))
        told += f' = {part[last]!r}'
    elif kind == 'gone':
        del part[last]
        told += ' is gone'
    else:
        part[f'{last}_'] = part.pop(last)
        told += ' has another name'
    lines = ''.join(f'{key} = {value!r}\n' for key, value in config.items())
    lines = lines.replace(': nan', ": float('nan')").replace(': inf', ": float('inf')")
    site.write('run.py', lines.replace('= nan', "= float('nan')").replace('= inf', "= float('inf')"))
    return argv, told


def _places(part: Any, way: tuple = ()) -> Iterator[tuple]:
    """Keys of all values, at any depth."""
    entries = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, value in entries:
        yield (*way, key)
        yield from _places(value, (*way, key))
