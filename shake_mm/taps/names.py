"""Names of taps, as configs write them."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from ..errors import UsageError

_PATTERN = re.compile(r'^(?P<member>\w+)\.(?P<path>[\w.]+)(?P<side>:inputs?|:named|:each)?(?P<indices>(\[-?\d+\])*)$')


@dataclass(frozen=True)
class Combined:
    """One tensor that is computed from several taps below a network.

    Args:
        taps (tuple[str]): What is recorded.
        combine (callable): Makes the tensor of their values, given in this order.
    """

    taps: tuple[str, ...]
    combine: Callable[..., Tensor]


@dataclass(frozen=True)
class Absent:
    """A short name that other networks have and this one has not.

    Args:
        reason (str): Why, and what to do, as a sentence without its first word and full stop.
    """

    reason: str


Alias = str | tuple[str, ...] | Combined | Absent
"""What a short name of a network stands for: one tap below the network, several, or what is computed from several."""


class NoElementError(UsageError):
    """A tap asks for an element that its layer does not make."""


class TapName(NamedTuple):
    """A parsed tap: which ``member``, which layer, its output (``''``) or another ``side`` of it, which elements."""

    member: str
    path: str
    side: str
    indices: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> 'TapName':
        """Read a tap as it is written in a config."""
        match = _PATTERN.match(text)
        if match is None:
            raise UsageError(
                f"tap '{text}' is not of the form 'member.layer', 'member.layer:input' or 'member.layer[i]'."
            )
        indices = tuple(int(index) for index in re.findall(r'-?\d+', match['indices']))
        return cls(match['member'], match['path'], match['side'] or '', indices)

    @property
    def root(self) -> str:
        """``member.path``, without the side and the elements."""
        return f'{self.member}.{self.path}'

    def __str__(self) -> str:
        return f'{self.member}.{self.path}{self.side}' + ''.join(f'[{index}]' for index in self.indices)


def listed(taps: str | Sequence[str]) -> list[str]:
    """One tap or several, as a list."""
    return [taps] if isinstance(taps, str) else list(taps)


def levels_of(aliases: Mapping[str, Alias]) -> list[str]:
    """Names ``f1``, ``f2``, … of the levels of a network that states them, in their order."""
    return sorted((name for name in aliases if re.fullmatch(r'f[1-9]\d*', name)), key=lambda name: int(name[1:]))


def with_last_level(aliases: Mapping[str, Alias]) -> dict[str, Alias]:
    """The aliases with ``fm``, the last level, whatever its number, and ``fl``, the last but one."""
    named = dict(aliases)
    for name, level in zip(('fm', 'fl'), reversed(levels_of(aliases))):
        named |= {f'{name}{end}': aliases[f'{level}{end}'] for end in ('', '.preact') if f'{level}{end}' in aliases}
    return named


def element_of(value: Any, indices: Sequence[int], text: str) -> Any:
    """One element of a tuple or list, again and again; nothing of what is not known.

    Raises:
        NoElementError: If there is no such element.
    """
    for index in indices:
        if isinstance(value, Tensor) or (value is not None and not -len(value) <= index < len(value)):
            held = 'one tensor' if isinstance(value, Tensor) else f'{len(value)} elements'
            raise NoElementError(
                f"tap '{text}' asks for element {index}, but the layer makes {held}: correct the index."
            )
        value = None if value is None else value[index]
    return value
