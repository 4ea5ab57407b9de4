"""Hooks of the Runner: evaluation of all members, stages, and the guard against non-finite gradients."""

from .finite_guard import FiniteGuardHook
from .member_eval import MemberEvalHook
from .stage import StageHook

__all__ = ['FiniteGuardHook', 'MemberEvalHook', 'StageHook']
