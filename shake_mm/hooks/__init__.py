"""Hooks of the Runner: evaluation, stages, teachers' caches, DropBlock, guards of values and of files, pre-emption."""

from .drop_block import DropBlockHook
from .finite_guard import FiniteGuardHook
from .member_eval import MemberEvalHook
from .preemption import PreemptionHook
from .read_guard import ReadGuardHook
from .resume_guard import ResumeGuardHook
from .stage import StageHook
from .teacher_cache import TeacherCacheHook

__all__ = [
    'DropBlockHook',
    'FiniteGuardHook',
    'MemberEvalHook',
    'PreemptionHook',
    'ReadGuardHook',
    'ResumeGuardHook',
    'StageHook',
    'TeacherCacheHook',
]
