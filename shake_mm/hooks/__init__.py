"""Hooks of the Runner: evaluation of all members, stages, DropBlock, and the guard against non-finite gradients."""

from .drop_block import DropBlockHook
from .finite_guard import FiniteGuardHook
from .member_eval import MemberEvalHook
from .stage import StageHook

__all__ = ['DropBlockHook', 'FiniteGuardHook', 'MemberEvalHook', 'StageHook']
