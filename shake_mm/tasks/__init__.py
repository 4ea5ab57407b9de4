"""Tasks: the only places that know what a classifier, a detector or a segmentor is."""

from .base import Task, build_task, task_of
from .classification import ClassificationTask
from .detection import DenseDetectionTask, DetectionTask
from .generic import GenericTask
from .roi_detection import RoIDetectionTask
from .segmentation import SegmentationTask

__all__ = [
    'ClassificationTask',
    'DenseDetectionTask',
    'DetectionTask',
    'GenericTask',
    'RoIDetectionTask',
    'SegmentationTask',
    'Task',
    'build_task',
    'task_of',
]
