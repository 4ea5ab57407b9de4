"""Checks made before a run begins: whether its config, environment variables, weights and data can work at all."""

from .launch import check_launch, launched_rank
from .packages import check_packages
from .runner import build_runner
from .views import fit_views
from .work_dir import check_work_dir

__all__ = ['build_runner', 'check_launch', 'check_packages', 'check_work_dir', 'fit_views', 'launched_rank']
