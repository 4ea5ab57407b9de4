"""The teacher-student engine: it knows members, taps, terms and stages, and no method or task by name."""

from ..taps import Taps
from .distiller import Distiller
from .evaluation import MemberEvaluation, MemberPredictions, MemberPredictor
from .measured import measurable
from .objective import Objective
from .stages import Stage
from .terms import Term

__all__ = [
    'Distiller',
    'MemberEvaluation',
    'MemberPredictions',
    'MemberPredictor',
    'Objective',
    'Stage',
    'Taps',
    'Term',
    'measurable',
]
