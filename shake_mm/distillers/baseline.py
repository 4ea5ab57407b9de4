"""No distillation, measured by the same engine."""

from collections.abc import Mapping
from typing import Any

from ..engine import Distiller
from ..engine.term_config import merge_terms
from ..registry import MODELS


@MODELS.register_module()
class Baseline(Distiller):
    """The student on its labels alone. A teacher, if given, is only compared with.

    Args:
        student (str | dict): The network to train.
        teachers (list | dict, optional): Networks to report the gap to; they do not run in training steps.
        terms (dict, optional): Terms to add.
        **kwargs: See :class:`Distiller`.
    """

    def __init__(self, student: Any, teachers: Any = (), terms: Mapping | None = None, **kwargs: Any) -> None:
        super().__init__(student, teachers, terms=merge_terms({'task': {'of': 'student'}}, terms), **kwargs)
