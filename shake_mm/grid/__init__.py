"""A grid of trainings: its runs, what they logged, their progress, and the record of how they came about."""

from .run import Run
from .runs import RunFailed, train_all
from .scalars import Scalars, read_run, read_scalars

__all__ = ['Run', 'RunFailed', 'Scalars', 'read_run', 'read_scalars', 'train_all']
