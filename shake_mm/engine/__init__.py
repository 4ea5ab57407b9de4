"""The teacher-student engine: it knows members, taps, terms and stages, and no method or task by name."""

from .distiller import Distiller
from .stages import Stage
from .taps import Taps
from .terms import Term

__all__ = ['Distiller', 'Stage', 'Taps', 'Term']
