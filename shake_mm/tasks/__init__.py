"""Tasks: the only places that know what a classifier or a detector is."""

from .base import Task, task_of
from .classification import ClassificationTask

__all__ = ['ClassificationTask', 'Task', 'task_of']
