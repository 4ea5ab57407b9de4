"""Evaluation of all members in one pass."""

from .member_evaluator import MemberEvaluator, called, names_plainly
from .member_iou import MemberIoUMetric
from .member_metric import MemberMetric

__all__ = ['MemberEvaluator', 'MemberIoUMetric', 'MemberMetric', 'called', 'names_plainly']
