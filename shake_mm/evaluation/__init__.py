"""Evaluation of all members in one pass."""

from .member_iou import MemberIoUMetric
from .member_metric import MemberMetric

__all__ = ['MemberIoUMetric', 'MemberMetric']
