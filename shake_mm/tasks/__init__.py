"""Tasks: the only places that know what a classifier or a detector is."""

from .base import Task, task_of
from .classification import ClassificationTask
from .detection import DenseDetectionTask, DetectionTask
from .grid_detection import GridDetectionTask
from .roi_detection import RoIDetectionTask

__all__ = [
    'ClassificationTask',
    'DenseDetectionTask',
    'DetectionTask',
    'GridDetectionTask',
    'RoIDetectionTask',
    'Task',
    'task_of',
]
