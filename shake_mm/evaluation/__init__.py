"""Evaluation of all members in one pass."""

from .member_metric import MemberMetric

__all__ = ['MemberMetric']
