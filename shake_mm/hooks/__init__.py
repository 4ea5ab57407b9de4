"""Hooks of the Runner: evaluation of all members, stages, DropBlock, guard against what is not finite, pre-emption."""

from .drop_block import DropBlockHook
from .finite_guard import FiniteGuardHook
from .member_eval import MemberEvalHook
from .preemption import PreemptionHook
from .stage import StageHook

__all__ = ['DropBlockHook', 'FiniteGuardHook', 'MemberEvalHook', 'PreemptionHook', 'StageHook']
