"""From the config's terms to one term per teacher, proxy and level of the networks."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import UsageError
from ..validation import check_number

LEVEL = re.compile(r'\.f\*(?=$|[.:\[])')
"""The part of a tap that stands for all levels of a network."""
SIDES = ('of', 'to', 'reference')
WRITTEN_OUT = ('weighting', 'level_decay')
"""Keys of a term's config that say how its copies add up; no copy has them."""


class Expanded(NamedTuple):
    """A written-out term.

    Args:
        origin (str): Its name in the config, by which stages name it.
        config (dict): Arguments of :class:`Term`.
    """

    origin: str
    config: dict[str, Any]


def expand_terms(
    configs: Mapping[str, dict | None], counts: Mapping[str, int], levels: Mapping[str, Sequence[str]]
) -> dict[str, Expanded]:
    """Write out the terms that hold for every teacher or for every level of the networks.

    A term whose taps name ``teacher*`` or ``proxy*`` is repeated for each of them. ``weighting`` says how the copies
    add up: ``'sum'`` (default), ``'mean'``, which divides the weight by their number, or ``'aekd'``, which weighs them
    anew in every step, see :mod:`~shake_mm.engine.weighting`; they must share the tap that learns. With a single copy
    the name stays as it is, else the index is appended.

    A term whose taps name ``f*`` is repeated for every level, ``f1`` to ``fm``, and the copies are summed; the level
    ``i`` weighs ``level_decay ** (m - i)``. In a list of taps ``f*`` stands for the taps of all levels, in one term.

    A term that is None was dropped by the config.

    Args:
        configs (dict): Terms by name, as in the config.
        counts (dict): How many members there are of each kind, e.g. ``{'teacher': 2, 'proxy': 2}``.
        levels (dict): Tap names of the levels by member, e.g. ``{'student': ['f1', 'f2', 'f3']}``.

    Returns:
        dict[str, Expanded]: The terms by the name under which they are logged.
    """
    expanded = {}
    for origin, config in configs.items():
        if config is None:
            continue
        for suffix, copy in _over_members(origin, dict(config), counts):
            for level, final in _over_levels(origin, copy, levels):
                expanded[f'{origin}{suffix}{level}'] = Expanded(origin, final)
    return expanded


def select(origins: Mapping[str, str], names: Sequence[str] | None) -> list[str]:
    """The terms that a stage names; a name of the config also stands for all its copies.

    Args:
        origins (dict): Name in the config by written-out name.
        names (list[str], optional): As the stage gives them; None means all.

    Raises:
        UsageError: If one is unknown.
    """
    if names is None:
        return list(origins)
    for name in names:
        if name not in origins and name not in origins.values():
            raise UsageError(f"a stage names the term '{name}', but the terms are {', '.join(origins)}.")
    return [name for name, origin in origins.items() if name in names or origin in names]


def _over_members(name: str, config: dict, counts: Mapping[str, int]) -> list[tuple[str, dict]]:
    check_number(f'terms.{name}.weight', config.get('weight', 1.0))
    weighting = config.pop('weighting', 'sum')
    if weighting not in ('aekd', 'mean', 'sum'):
        raise UsageError(f"terms.{name}.weighting is '{weighting}': use 'aekd', 'mean' or 'sum'.")
    if weighting == 'aekd' and config.get('loss') is None:
        raise UsageError(f"terms.{name}: weighting='aekd' compares gradients of a 'loss': give one, or use 'mean'.")
    kinds = [kind for kind in counts for side in SIDES if f'{kind}*' in str(config.get(side))]
    if not kinds:
        return [('', config)]
    number = counts[kinds[0]]
    if any(counts[kind] != number for kind in kinds):
        raise UsageError(
            f'terms.{name} pairs {" with ".join(kinds)}, but there are {[counts[k] for k in kinds]} of them.'
        )
    if number == 0:
        raise UsageError(
            f'terms.{name} needs a {kinds[0]}, but this distiller has none: add one or set the term to None.'
        )
    if weighting == 'aekd' and number > 1 and any(f'{kind}*' in str(config['of']) for kind in kinds):
        raise UsageError(
            f"terms.{name}: weighting='aekd' is for copies that share the tap that learns, but of='{config['of']}' "
            "stands for several: use 'mean' or 'sum'."
        )
    if weighting == 'mean':
        config['weight'] = config.get('weight', 1.0) / number
    return [
        ('' if number == 1 else str(i), _with_taps(config, lambda tap, i=i: re.sub(r'^(\w+)\*', rf'\g<1>{i}', tap)))
        for i in range(number)
    ]


def _over_levels(name: str, config: dict, levels: Mapping[str, Sequence[str]]) -> list[tuple[str, dict]]:
    decay = config.pop('level_decay', None)
    if decay is not None:
        check_number(f'terms.{name}.level_decay', decay)
    for side in ('of', 'to'):
        if isinstance(config.get(side), (list, tuple)):
            config[side] = [tap for entry in config[side] for tap in levels_behind(f'terms.{name}', entry, levels)]
    repeated = {side: config[side] for side in ('of', 'to') if LEVEL.search(str(config.get(side)))}
    if not repeated:
        if decay is not None:
            raise UsageError(f"terms.{name}: 'level_decay' needs a tap with f*, which stands for all levels.")
        return [('', config)]
    taps = {side: levels_behind(f'terms.{name}', tap, levels) for side, tap in repeated.items()}
    number = {len(expanded) for expanded in taps.values()}
    if len(number) > 1:
        counts = ' and '.join(f'{len(taps[side])} of {tap}' for side, tap in repeated.items())
        raise UsageError(f'terms.{name} pairs {counts}: name the levels to compare one by one, e.g. f2.')
    copies = []
    for i in range(m := number.pop()):
        copy = {**config, **{side: expanded[i] for side, expanded in taps.items()}}
        if decay is not None:
            copy['weight'] = config.get('weight', 1.0) * decay ** (m - 1 - i)
        copies.append((f'_f{i + 1}', copy))
    return copies


def levels_behind(where: str, tap: str, levels: Mapping[str, Sequence[str]]) -> list[str]:
    """The taps of all levels that a tap with ``f*`` stands for; any other stands for itself."""
    if not LEVEL.search(tap):
        return [tap]
    member = tap.partition('.')[0]
    if not levels.get(member):
        raise UsageError(
            f"{where}: the levels of '{member}' are not known for '{tap}': name layers, or give the member "
            "`taps=dict(f1='backbone.…', …)`."
        )
    return [LEVEL.sub(f'.{level}', tap) for level in levels[member]]


def _with_taps(config: dict, change: Any) -> dict:
    sides = {side: config[side] for side in SIDES if config.get(side)}
    return {
        **config,
        **{side: change(tap) if isinstance(tap, str) else [change(t) for t in tap] for side, tap in sides.items()},
    }
