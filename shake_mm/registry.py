"""Registries of shake_mm: children of mmengine's, filled when the package is imported.

A config names a part of ours as ``shake_mm.Part``, whatever its ``default_scope`` is.
"""

from typing import Any

from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry

MODELS = Registry(
    'model',
    parent=MMENGINE_MODELS,
    scope='shake_mm',
    locations=[
        'shake_mm.distillers',
        'shake_mm.losses',
        'shake_mm.models',
        'shake_mm.proxies',
    ],
)
DATASETS = Registry('dataset', parent=MMENGINE_DATASETS, scope='shake_mm', locations=['shake_mm.datasets'])
TRANSFORMS = Registry('transform', parent=MMENGINE_TRANSFORMS, scope='shake_mm', locations=['shake_mm.datasets'])
METRICS = Registry('metric', parent=MMENGINE_METRICS, scope='shake_mm', locations=['shake_mm.evaluation'])
HOOKS = Registry('hook', parent=MMENGINE_HOOKS, scope='shake_mm', locations=['shake_mm.hooks'])
TASKS = Registry('task', scope='shake_mm', locations=['shake_mm.tasks'])


def build_part(config: Any) -> Any:
    """Build a part of a distiller: a bare type name that is ours means ours, whatever the run's default scope is.

    The scope stays as it is, so that parts of parts (the head in a shadow head) are found where the student's are.

    Args:
        config (dict | nn.Module): The part's config; something built already passes.
    """
    if not isinstance(config, dict):
        return config
    return MODELS.build({**config, 'type': MODELS.module_dict.get(config.get('type'), config.get('type'))})
