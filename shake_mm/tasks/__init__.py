"""Tasks: the only places that know what a classifier or a detector is."""

from .base import Task, task_of
from .classification import ClassificationTask
from .detection import DenseDetectionTask, DetectionTask
from .roi_detection import RoIDetectionTask

__all__ = ['ClassificationTask', 'DenseDetectionTask', 'DetectionTask', 'RoIDetectionTask', 'Task', 'task_of']
