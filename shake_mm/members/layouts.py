"""Where published checkpoints keep their weights, and which prefix their names have.

``docs/checkpoints.md`` is the table of what is known.
"""

from collections import Counter, OrderedDict
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from torch import Tensor

from ..errors import UsageError

WEIGHTS = ('state_dict', 'model', 'model_state_dict', 'model_state', 'net', 'network', 'weights', 'params', 'state')
AVERAGES = ('state_dict_ema', 'ema_state_dict', 'model_ema', 'params_ema', 'ema')
CONTAINERS = (*WEIGHTS, 'student', 'teacher', *AVERAGES)
"""Keys under which files keep weights; the first of those that a file has is taken."""
WRAPPERS = ('module.', '_orig_mod.')
"""What DistributedDataParallel and ``torch.compile`` put before each name."""
STUDENTS, TEACHERS = ('student.', 'architecture.'), ('teacher.', 'teacher_architecture.', 'distiller.teacher.')
COUNTERS = ('total_ops', 'total_params')
"""Buffers that thop adds to every layer."""
SHARE = 0.9
"""How many of a network's names must follow a prefix, if it is not a known one."""
SHOWN = 6


class Origin(NamedTuple):
    """Which checkpoint is read, for messages.

    Args:
        where (str): Who asks, ``'teacher0'`` or ``'load_from'``.
        source (str): The file, address or name.
    """

    where: str
    source: str

    @property
    def option(self) -> str:
        """The option by which one says which weights are meant."""
        of_tool = self.where in ('test', 'export') or self.where.startswith('--arch')
        return '--key' if of_tool else 'load_from_key' if self.where == 'load_from' else 'key'

    def error(self, text: str) -> UsageError:
        """An error about the checkpoint; ``text`` completes the sentence."""
        return UsageError(f"{self.where}: checkpoint '{self.source}' {text}.")


def find_state(loaded: dict, origin: Origin, key: str | None = None) -> tuple[dict, str, list[str]]:
    """The state dict in a checkpoint, the path of keys that leads to it, and the known keys that were passed by.

    Args:
        loaded (dict): What was read.
        origin (Origin): For messages.
        key (str, optional): Where to look: a key of the file, or the beginning of names, without the last dot.

    Raises:
        UsageError: If there is none under a known key, or a student and a teacher stand side by side.
    """
    values = loaded if key is None else _under(loaded, key)
    if values is None:
        places = _places(loaded)
        known = f', only under {_listed(places)}' if places else ''
        raise origin.error(f"holds no weights under '{key}'{known}: correct `{origin.option}`")
    path: list[str] = [] if key is None else [key]
    beside: list[str] = []
    while inside := [name for name in CONTAINERS if _holds_weights(values.get(name))]:
        if inside[0] in ('student', 'teacher') and {'student', 'teacher'} <= set(inside):
            raise _ask(origin, ('student', 'teacher'))
        path.append(inside[0])
        beside += inside[1:]
        values = values[inside[0]]
    if not any(map(_is_weight, values.items())):
        places = _places(values)
        if places:
            raise origin.error(f'holds no state dict, but weights under {_listed(places)}: give `{origin.option}`')
        keys = f' (it has the keys {_listed(map(str, values))})' if values else ''
        raise origin.error(f'holds no state dict{keys}: give a checkpoint')
    return values, '.'.join(path), beside


def find_prefix(state: Collection[str], names: Collection[str] | None, origin: Origin) -> str | None:
    """The prefix without which the names of a file are those of a network.

    Args:
        state (Collection[str]): The names in the file.
        names (Collection[str], optional): Those of the network; without them, wrappers alone are recognized.
        origin (Origin): For messages.

    Returns:
        str | None: The prefix, most often ``''``; None if there is none.

    Raises:
        UsageError: If a student and a teacher, or other networks that all fit, stand side by side.
    """
    names = [name for name in names or () if not name.endswith('num_batches_tracked')]
    held = set(state)

    def count(prefix: str) -> int:
        return sum(prefix + name in held for name in names)

    if names and 2 * count('') >= len(names):
        return ''
    wrapped = _wrappers(state, WRAPPERS)
    _check_one_network(state, wrapped, origin)
    if names:
        fitting = [prefix for prefix in _prefixes(state, SHARE * len(names)) if count(prefix) >= SHARE * len(names)]
        ours = [prefix for prefix in fitting if prefix.startswith(f'{wrapped}student.')]
        if len(fitting) > 1 and not ours:
            raise _ask(origin, [prefix.removesuffix('.') for prefix in fitting])
        if fitting:
            return (ours or fitting)[0]
    known = _wrappers(state, (*WRAPPERS, *STUDENTS, 'model.'), all_of=('model.',))
    return known if not names or count(known) > count('') else None


def distiller_prefix(state: Collection[str]) -> str | None:
    """What stands before each name if a distiller of ours wrote them: it has a student, and no frozen teacher."""
    wrapped = _wrappers(state, WRAPPERS)
    heads = {name[len(wrapped) :].partition('.')[0] for name in state if _begins(name, wrapped)}
    return wrapped if 'student' in heads and 'teacher' not in heads else None


def without_prefix(state: dict, prefix: str) -> dict:
    """The part of a state dict whose names have a prefix, without it; the versions of layers too."""
    if not prefix:
        return state
    part = OrderedDict((name[len(prefix) :], value) for name, value in state.items() if _begins(name, prefix))
    versions = getattr(state, '_metadata', {})
    vars(part)['_metadata'] = OrderedDict(
        (f'{layer}.'[len(prefix) : -1], about) for layer, about in versions.items() if f'{layer}.'.startswith(prefix)
    )
    return part


def _under(values: dict, key: str) -> dict | None:
    """What stands under a key, or behind a prefix, here or in one of the containers."""
    if isinstance(values.get(key), dict):
        return values[key]
    for wrapper in ('', *WRAPPERS, ''.join(WRAPPERS)):
        if any(_begins(name, f'{wrapper}{key}.') for name in values):
            return without_prefix(values, f'{wrapper}{key}.')
    head, _, rest = key.partition('.')
    if rest and isinstance(values.get(head), dict):
        return _under(values[head], rest)
    inside = (_under(values[name], key) for name in CONTAINERS if isinstance(values.get(name), dict))
    return next((found for found in inside if found is not None), None)


def _wrappers(state: Iterable[str], known: Collection[str], all_of: Collection[str] = ()) -> str:
    """The known prefixes that names have, one after the other; those ``all_of`` count only if each name has them."""
    state, found = list(state), ''
    while True:
        rest = [name for name in state if _begins(name, found)]
        mine = [
            part
            for part in known
            if rest and (all if part in all_of else any)(_begins(name, found + part) for name in rest)
        ]
        if not mine:
            return found
        found += mine[0]


def _check_one_network(state: Collection[str], wrapped: str, origin: Origin) -> None:
    """Ask which is meant where a student and a teacher stand side by side."""
    students, teachers = (
        [part for part in parts if any(_begins(name, wrapped + part) for name in state)]
        for parts in (STUDENTS, TEACHERS)
    )
    if students and teachers:
        raise _ask(origin, [part.removesuffix('.') for part in (*students, *teachers)])


def _ask(origin: Origin, names: Collection[str]) -> UsageError:
    return origin.error(f'holds several networks side by side, {_listed(names)}: say which by `{origin.option}`')


def _prefixes(state: Iterable[str], least: float) -> list[str]:
    """All beginnings of names up to a dot that at least so many of them have."""
    counts: Counter[str] = Counter()
    for name in state:
        parts = name.split('.') if isinstance(name, str) else []
        counts.update('.'.join(parts[:end]) + '.' for end in range(1, len(parts)))
    return [prefix for prefix, number in counts.items() if number >= least]


def _places(values: dict, path: str = '') -> list[str]:
    """Where there are weights: keys, and first parts of names."""
    found: dict[str, None] = {}
    for name, value in values.items():
        if not isinstance(name, str):
            continue
        if isinstance(value, dict) and any(map(_is_weight, value.items())):
            found[f'{path}{name}'] = None
        elif isinstance(value, Tensor) and '.' in name:
            found[path + name.partition('.')[0]] = None
    return list(found)


def _holds_weights(values: Any) -> bool:
    if not isinstance(values, dict):
        return False
    return any(map(_is_weight, values.items())) or any(_holds_weights(values.get(name)) for name in CONTAINERS)


def _is_weight(item: tuple[Any, Any]) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], Tensor)


def _begins(name: Any, prefix: str) -> bool:
    return isinstance(name, str) and name.startswith(prefix)


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f' and {len(names) - SHOWN} more' if len(names) > SHOWN else ''
    return ', '.join(f'`{name}`' for name in names[:SHOWN]) + more
