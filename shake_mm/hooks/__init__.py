"""Hooks of the Runner: audit, evaluation, stages, caches, shared teachers, DropBlock, pre-emption, guards."""

from .audit import AuditHook
from .drop_block import DropBlockHook
from .dry_run import DryRunHook, DryRunOver
from .finite_guard import FiniteGuardHook
from .gradient_share import GradientShareHook
from .member_eval import MemberEvalHook
from .preemption import PreemptionHook
from .read_guard import ReadGuardHook
from .resume_guard import ResumeGuardHook
from .shared_teacher import SharedTeacherHook
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
    'SharedTeacherHook',
    'StageHook',
    'SummaryHook',
    'TeacherCacheHook',
    'TrackerHook',
]
