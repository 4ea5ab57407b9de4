"""Checks made before a run begins: whether its config, environment variables, weights and data can work at all."""

from .launch import check_launch, launched_rank
from .runner import build_runner

__all__ = ['build_runner', 'check_launch', 'launched_rank']
