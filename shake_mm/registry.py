"""Registries of shake_mm: children of mmengine's, filled when the package is imported.

A config names a part of ours as ``shake_mm.Part``, whatever its ``default_scope`` is.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry

from .errors import UsageError

_MEND = {'num_samples': 'set `model.num_samples` to the size of the training set'}

MODELS = Registry(
    'model',
    parent=MMENGINE_MODELS,
    scope='shake_mm',
    locations=[
        'shake_mm.connectors',
        'shake_mm.distillers',
        'shake_mm.losses',
        'shake_mm.models',
        'shake_mm.proxies',
    ],
)
DATASETS = Registry('dataset', parent=MMENGINE_DATASETS, scope='shake_mm', locations=['shake_mm.datasets'])
DATA_SAMPLERS = Registry(
    'data sampler', parent=MMENGINE_DATA_SAMPLERS, scope='shake_mm', locations=['shake_mm.datasets']
)
TRANSFORMS = Registry('transform', parent=MMENGINE_TRANSFORMS, scope='shake_mm', locations=['shake_mm.datasets'])
METRICS = Registry('metric', parent=MMENGINE_METRICS, scope='shake_mm', locations=['shake_mm.evaluation'])
HOOKS = Registry('hook', parent=MMENGINE_HOOKS, scope='shake_mm', locations=['shake_mm.hooks'])
LOOPS = Registry('loop', parent=MMENGINE_LOOPS, scope='shake_mm', locations=['shake_mm.loops'])
TASKS = Registry('task', scope='shake_mm', locations=['shake_mm.tasks'])


def build_part(config: Any, facts: Mapping[str, Any] | None = None, owner: str = '') -> Any:
    """Build a part of a distiller: a bare type name that is ours means ours, whatever the run's default scope is.

    The scope stays as it is, so that parts of parts (the head in a shadow head) are found where the student's are.

    Args:
        config (dict | nn.Module): The part's config; something built already passes.
        facts (dict, optional): Constructor arguments that the config may leave out, e.g. ``in_channels``. They fill
            those that have no default. A value of None stands for a fact that is not known.
        owner (str): Where the part stands in the config, named in errors.

    Raises:
        UsageError: If a fact is needed that is not known.
    """
    if not isinstance(config, dict):
        return config
    kind = MODELS.module_dict.get(config.get('type'), config.get('type'))
    return MODELS.build({**config, 'type': kind, **_inferred(kind, config, facts or {}, owner)})


def _inferred(kind: Any, config: dict, facts: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """The facts that a part's constructor asks for and its config leaves out."""
    cls = MODELS.get(kind) if isinstance(kind, str) else kind
    if not facts or cls is None:
        return {}
    needed = [
        name
        for name, parameter in inspect.signature(cls).parameters.items()
        if name in facts and name not in config and parameter.default is parameter.empty
    ]
    for name in needed:
        if facts[name] is None:
            raise UsageError(
                f'{owner}: {cls.__name__} needs `{name}`, which is not known here: {_MEND.get(name, "give it")}.'
            )
    return {name: facts[name] for name in needed}
