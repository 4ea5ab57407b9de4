"""Tasks: the only places that know what a classifier or a detector is.

Each is imported where there is a network of its package, or when it is asked for by name.
"""

from ..imports import lazy_parts
from .base import FAMILIES, Task, task_of

__getattr__ = lazy_parts(
    __name__,
    {
        'classification': ('ClassificationTask',),
        'detection': ('DenseDetectionTask', 'DetectionTask'),
        'roi_detection': ('RoIDetectionTask',),
    },
    needs={module: package for package, modules in FAMILIES.items() for module in modules},
)

__all__ = ['ClassificationTask', 'DenseDetectionTask', 'DetectionTask', 'RoIDetectionTask', 'Task', 'task_of']
