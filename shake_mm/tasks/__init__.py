"""Tasks: the only places that know what a classifier, a detector or a segmentor is.

Each is imported where there is a network of its package, or when it is asked for by name.
"""

from ..imports import lazy_parts
from .base import Task
from .generic import GenericTask
from .lookup import FAMILIES, build_task, task_of
from .segmentation import SegmentationTask

__getattr__ = lazy_parts(
    __name__,
    {
        'classification': ('ClassificationTask',),
        'detection': ('DenseDetectionTask', 'DetectionTask'),
        'grid_detection': ('GridDetectionTask',),
        'heatmap_detection': ('HeatmapDetectionTask',),
        'query_detection': ('QueryDetectionTask',),
        'roi_detection': ('RoIDetectionTask',),
    },
    needs={module: package for package, modules in FAMILIES.items() for module in modules},
)

__all__ = [
    'ClassificationTask',
    'DenseDetectionTask',
    'DetectionTask',
    'GenericTask',
    'GridDetectionTask',
    'HeatmapDetectionTask',
    'QueryDetectionTask',
    'RoIDetectionTask',
    'SegmentationTask',
    'Task',
    'build_task',
    'task_of',
]
