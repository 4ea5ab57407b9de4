"""Taps: named tensors of the networks, recorded while a step runs."""

from .derived import Derived, Trace, trace
from .names import Absent, Alias, Combined, NoElementError, TapName, levels_of, listed
from .taps import Taps

__all__ = [
    'Absent',
    'Alias',
    'Combined',
    'Derived',
    'NoElementError',
    'TapName',
    'Taps',
    'Trace',
    'levels_of',
    'listed',
    'trace',
]
