"""Hooks of the Runner: audit, evaluation, stages, caches, DropBlock, pre-emption, guards of values and gradients."""

from .audit import AuditHook
from .drop_block import DropBlockHook
from .dry_run import DryRunHook, DryRunOver
from .finite_guard import FiniteGuardHook
from .gradient_share import GradientShareHook
from .member_eval import MemberEvalHook
from .preemption import PreemptionHook
from .read_guard import ReadGuardHook
from .resume_guard import ResumeGuardHook
from .stage import StageHook
from .summary import SummaryHook
from .teacher_cache import TeacherCacheHook
from .tracker import TrackerHook

__all__ = [
    'AuditHook',
    'DropBlockHook',
    'DryRunHook',
    'DryRunOver',
    'FiniteGuardHook',
    'GradientShareHook',
    'MemberEvalHook',
    'PreemptionHook',
    'ReadGuardHook',
    'ResumeGuardHook',
    'StageHook',
    'SummaryHook',
    'TeacherCacheHook',
    'TrackerHook',
]
