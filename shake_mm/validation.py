"""Arguments of a config against what a constructor says it takes."""

import difflib
import inspect
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

from .errors import UsageError

MEANT = {
    't': 'tau',
    'temp': 'tau',
    'temperature': 'tau',
    'lambda': 'lam',
    'lambd': 'lam',
    'loss_weight': 'weight',
    'weights': 'weight',
    'source': 'of',
    'target': 'to',
    'ckpt': 'checkpoint',
    'pretrained': 'checkpoint',
}
"""Words that others use for what we call otherwise."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The name that somebody means who writes another, or None.

    Args:
        word (str): What is written.
        known (iterable of str): The names that there are.
    """
    names = list(known)
    if MEANT.get(word.lower()) in names:
        return MEANT[word.lower()]
    return next(iter(difflib.get_close_matches(word, names, n=1)), None)


def check_arguments(cls: Callable, config: Mapping[str, Any], where: str) -> None:
    """Refuse arguments of another type than the constructor's annotation says, and numbers that are not finite.

    Only ``bool``, ``int``, ``float`` and ``str``, also with ``| None``, are looked at, and only of the package's own
    parts, whose annotations can be relied on.

    Args:
        cls (type): The part's class.
        config (dict): Its config.
        where (str): Where the part stands in the config, named in errors.

    Raises:
        UsageError: Naming the argument.
    """
    if getattr(cls, '__module__', '').partition('.')[0] != __package__:
        return
    for name, parameter in inspect.signature(cls).parameters.items():
        kinds = _kinds(parameter.annotation)
        if name in config and kinds and not any(_is(config[name], kind) for kind in kinds):
            wanted = ' or '.join(_WORDS[kind] for kind in kinds)
            raise UsageError(f'{where or cls.__name__}: {name}={config[name]!r} of {cls.__name__} must be {wanted}.')


def check_number(where: str, value: Any, least: float = 0) -> None:
    """Refuse what is no finite number, or less than it may be.

    Raises:
        UsageError: Naming ``where``.
    """
    if not _is(value, float) or value < least:
        raise UsageError(f'{where} is {value!r}, but it must be a finite number >= {least}.')


def check_mapping(where: str, value: Any, example: str) -> None:
    """Refuse what is no dict of names.

    Raises:
        UsageError: Naming ``where``.
    """
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise UsageError(f'{where} is {value!r}, but it must be a dict: write {example}.')


def check_tap(where: str, value: Any) -> None:
    """Refuse what is neither the name of a tap nor several of them.

    Raises:
        UsageError: Naming ``where``.
    """
    names = [value] if isinstance(value, str) else value if isinstance(value, Sequence) else ()
    if not names or not all(isinstance(name, str) for name in names):
        raise UsageError(f"{where} is {value!r}, but it must name a tap, e.g. 'student.logits', or several in a list.")


def check_sizes(num_samples: Any, input_size: Any) -> None:
    """Refuse a distiller's ``num_samples`` and ``input_size`` that are no numbers of samples and pixels.

    Raises:
        UsageError: Naming both.
    """
    sides = input_size if isinstance(input_size, Sequence) else (input_size,)
    sizes = [size for size in (num_samples, *sides) if size is not None]
    if len(sides) > 2 or not all(_is(size, int) and size > 0 for size in sizes):
        raise UsageError(
            f'num_samples={num_samples!r} and input_size={input_size!r} must be whole numbers, 1 or more (input_size: '
            'also height and width), or be left out.'
        )


_WORDS = {
    bool: 'True or False',
    int: 'a whole number',
    float: 'a finite number',
    str: 'a text in quotation marks',
    types.NoneType: 'None',
}


def _kinds(annotation: Any) -> tuple[type, ...]:
    """The plain types that an annotation allows; none if it allows others too."""
    union = typing.get_origin(annotation) in (types.UnionType, typing.Union)
    kinds = typing.get_args(annotation) if union else (annotation,)
    return kinds if all(kind in _WORDS for kind in kinds) else ()


def _is(value: Any, kind: type) -> bool:
    if kind is float:
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if kind is int:
        return isinstance(value, Integral) and not isinstance(value, bool)
    return isinstance(value, kind)
