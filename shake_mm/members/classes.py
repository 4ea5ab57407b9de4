"""Classes of a teacher by their names: whether they are the student's, and which of its logits are theirs."""

from collections.abc import Mapping, Sequence
from logging import WARNING
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor

from ..errors import UsageError
from ..taps import Absent, Alias, Combined

BY_NAME = 'by_name'


class ClassMap:
    """Takes those of a teacher's logits that belong to the student's classes, in the student's order.

    Args:
        name (str): The teacher.
        theirs (sequence of str): Names of the teacher's classes, in the order of its logits.
        mine (int): Number of the student's classes.
        channels (int): Of the teacher's logits at a place: its classes, and perhaps the background behind them.
    """

    def __init__(self, name: str, theirs: Sequence[str], mine: int, channels: int) -> None:
        self.name, self.theirs, self.mine, self.channels = name, tuple(theirs), mine, channels
        self._index: Tensor | None = None

    def fit(self, names: Sequence[str] | None, where: str) -> None:
        """Find the student's classes among the teacher's.

        Args:
            names (sequence of str, optional): Of the student's classes, in their order.
            where (str): Key of the data set that names them.

        Raises:
            UsageError: If they have no names, or the teacher lacks one of them, or has it twice.
        """
        if names is None or len(names) != self.mine:
            told = (
                'names no classes' if names is None else f'names {len(names)} classes and the student has {self.mine}'
            )
            raise UsageError(
                f"{self.name}: classes are matched by name, but {where} {told}: give it metainfo's `classes`."
            )
        places = [_places(name, self.theirs) for name in names]
        for name, found in zip(names, places):
            if len(found) != 1 and tuple(names) != self.theirs:
                what = f"knows no class '{name}'" if not found else f"knows the class '{name}' {len(found)} times"
                raise UsageError(
                    f'{self.name}: classes are matched by name, but it {what}, which {where} has: correct the names '
                    '(`classes` of the teacher may list them), or distill features.'
                )
        own = list(range(self.mine)) if tuple(names) == self.theirs else [found[0] for found in places]
        self._index = torch.tensor([*own, *range(len(self.theirs), self.channels)])

    def take(self, logits: Any) -> Any:
        """Select.

        Args:
            logits (Tensor | list[Tensor]): Shape (N, K), or (N, A * K, H, W), or a list of those.

        Returns:
            Tensor | list[Tensor]: Likewise, of the student's classes.

        Raises:
            UsageError: If the names of the student's classes are not known yet.
        """
        if isinstance(logits, (list, tuple)):
            return [self.take(level) for level in logits]
        if self._index is None:
            if not logits.is_meta:
                raise UsageError(
                    f"{self.name}: classes are matched by name once the run's data are known: use tools/train.py, or "
                    "dict(type='shake_mm.StageHook') in `custom_hooks`."
                )
            index = torch.arange(self.mine + self.channels - len(self.theirs), device='meta')
        else:
            index = self._index = self._index.to(logits.device)
        grouped = logits.unflatten(1, (-1, self.channels))
        return grouped.index_select(2, index).flatten(1, 2)

    def alias(self, logits: Alias) -> Alias:
        """The tap of the logits that are taken, given that of all of them."""
        if isinstance(logits, Absent):
            return logits
        if isinstance(logits, Combined):
            return Combined(logits.taps, _Taken(self, logits.combine))
        if isinstance(logits, tuple):
            return Combined(logits, _Taken(self, _levels))
        return Combined((logits,), _Taken(self, _last))


class _Taken:
    """Makes the logits of what a network's taps hold, and takes those of the student's classes."""

    def __init__(self, classes: ClassMap, combine: Any) -> None:
        self.classes, self.combine = classes, combine

    def __call__(self, *values: Any) -> Any:
        return self.classes.take(self.combine(*values))


def names_in(meta: Any) -> tuple[str, ...] | None:
    """Names of classes in a data set's ``metainfo`` or a checkpoint's ``meta``, whether ``classes`` or ``CLASSES``."""
    if not isinstance(meta, Mapping):
        return None
    for part in (meta, *(value for key, value in meta.items() if str(key).lower() == 'dataset_meta')):
        for key, value in part.items() if isinstance(part, Mapping) else ():
            listed = isinstance(value, (list, tuple)) and value and all(isinstance(name, str) for name in value)
            if str(key).lower() == 'classes' and listed:
                return tuple(value)
    return None


def check_order(name: str, theirs: Sequence[str] | None, mine: Sequence[str] | None, where: str) -> None:
    """Refuse a teacher whose logits mean other classes than the student's at the same place, as far as names tell.

    Args:
        name (str): The teacher.
        theirs (sequence of str, optional): The names in its checkpoint.
        mine (sequence of str, optional): Those of the run's data.
        where (str): Key of these data.

    Raises:
        UsageError: If a class of both stands at another place.
    """
    if theirs is None or mine is None or tuple(theirs) == tuple(mine):
        return
    told = next(((i, a, b) for i, (a, b) in enumerate(zip(theirs, mine)) if not _places(a, [b])), None)
    if told is None:
        return
    place, there, here = told
    moved = any(found and i not in found for i, found in enumerate(_places(own, theirs) for own in mine))
    sentence = f"{name}: class {place} is '{there}' in its checkpoint and '{here}' in {where}"
    if moved:
        raise UsageError(
            f"{sentence}, the same classes in another order: set classes='by_name' in the entry of {name}, or give "
            "the data metainfo's `classes` in the teacher's order."
        )
    print_log(
        f"{sentence}: if these are not two names of one class, set classes='by_name', or distill features.",
        'current',
        WARNING,
    )


def _places(name: str, names: Sequence[str]) -> list[int]:
    """Where a name stands, else where it does in other letters."""
    exact = [i for i, other in enumerate(names) if other == name]
    return exact or [i for i, other in enumerate(names) if other.strip().casefold() == name.strip().casefold()]


def _last(value: Any) -> Any:
    return _last(value[-1]) if isinstance(value, (tuple, list)) else value


def _levels(*values: Any) -> list[Any]:
    return [_last(value) for value in values]
