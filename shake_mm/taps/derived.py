"""Taps that the engine computes from others, and the walk from what is read back to what must run."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from torch import nn

from .names import TapName, listed
from .taps import Taps


class Derived(NamedTuple):
    """A tap that the engine fills: the logits of a proxy, or what a shared connector makes of a tap.

    Args:
        tap (str): Its name, ``'proxy0.logits'`` or ``'connectors.factor'``.
        module (nn.Module): What computes it.
        source (str | list[str]): The tap, or taps, that it reads.
        part (str): Where the module stands in the distiller, ``'proxies.proxy0'`` or ``'connectors.factor'``.
        raw (bool): Whether it reads a layer's output as it is (a tuple of levels stays one), as proxies do.
    """

    tap: str
    module: nn.Module
    source: str | list[str]
    part: str
    raw: bool

    def read(self, taps: Taps) -> Any:
        """What its module receives in this step."""
        return taps.read(self.source) if self.raw else taps.value(self.source)

    def compute(self, taps: Taps) -> None:
        """Run its module and fill the tap."""
        taps.put(self.tap, self.module(self.read(taps)))


class Trace(NamedTuple):
    """What some taps depend on.

    Args:
        derived (tuple[Derived]): What the engine computes, in the order in which it must.
        taps (tuple[str]): The taps of networks that are read, by whom it may be.
    """

    derived: tuple[Derived, ...]
    taps: tuple[str, ...]

    @property
    def members(self) -> set[str]:
        """The members whose networks must run."""
        return {TapName.parse(tap).member for tap in self.taps}


def trace(wanted: Iterable[str], derived: Mapping[str, Derived]) -> Trace:
    """Follow taps back, through what the engine computes, to the networks that make them.

    Args:
        wanted (iterable of str): The taps that are read.
        derived (dict): What the engine computes, by tap, in its order.

    Returns:
        Trace: All that they depend on.
    """
    waiting, found, taps = list(wanted), set(), []
    while waiting:
        text = waiting.pop()
        name = TapName.parse(text)
        root = name.root if name.root in derived else f'{name.member}.logits'  # of a proxy's layer, the proxy
        if root in derived:
            found.add(root)
            waiting.extend(listed(derived[root].source))
        else:
            taps.append(text)
    return Trace(tuple(entry for tap, entry in derived.items() if tap in found), tuple(taps))
