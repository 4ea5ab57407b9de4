"""Tasks: the only places that know what a classifier or a detector is."""

from .base import Task, task_of
from .classification import ClassificationTask
from .detection import DenseDetectionTask, DetectionTask
from .heatmap_detection import HeatmapDetectionTask
from .roi_detection import RoIDetectionTask

__all__ = [
    'ClassificationTask',
    'DenseDetectionTask',
    'DetectionTask',
    'HeatmapDetectionTask',
    'RoIDetectionTask',
    'Task',
    'task_of',
]
