"""Which task a network belongs to, by its class, whether or not its package is imported."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from mmengine.registry import DefaultScope
from torch import nn

from ..errors import UsageError
from ..imports import require
from ..registry import TASKS
from .base import Task

FAMILIES = {
    'mmpretrain': ('classification',),
    'mmdet': ('detection', 'grid_detection', 'heatmap_detection', 'query_detection', 'roi_detection'),
}
"""By package, the modules beside this one that know its networks, and import it."""


def build_task(config: Any) -> Task:
    """Build the task that a config asks for.

    Args:
        config (dict | Task): Such as ``dict(type='shake_mm.GenericTask', logits='head.fc')``.

    Raises:
        UsageError: If it is none, or has arguments that the task does not take.
    """
    if isinstance(config, Task):
        return config
    if not isinstance(config, Mapping) or TASKS.get(str(config.get('type'))) is None:
        names = [name for name in import_module(__package__).__all__ if name.endswith('Task') and name != 'Task']
        known = ', '.join({**TASKS.module_dict, **dict.fromkeys(names)})
        raise UsageError(f"task is {config!r}, but it must be a config whose 'type' is one of {known}.")
    try:
        with DefaultScope.overwrite_default_scope('shake_mm'):  # in another, mmengine warns that it has no tasks
            return TASKS.build(dict(config))
    except TypeError as error:
        raise UsageError(f'task: {config["type"]} cannot be made of these arguments ({error}): correct them.') from None


def task_of(network: nn.Module) -> Task:
    """The registered task that ``network`` belongs to: the most specific one.

    Raises:
        UsageError: If there is none.
    """
    for kind in type(network).__mro__:
        package = kind.__module__.partition('.')[0]
        for module in FAMILIES.get(package, ()):
            require(package, f'a {type(network).__name__}')
            import_module(f'{__package__}.{module}')
        for task in TASKS.module_dict.values():
            if kind in task.model_types or _full_name(kind) in task.model_names:
                return task()
    raise UsageError(
        f'student: a {type(network).__name__} is no model of mmengine, which has a loss of its own: wrap it in '
        "dict(type='shake_mm.PlainModel', network=dict(…), loss=dict(…))."
    )


def is_named(network: nn.Module, names: Sequence[str]) -> bool:
    """Whether a network is of one of some classes.

    Args:
        network (nn.Module): A network.
        names (Sequence[str]): Names of classes with those of their packages, such as ``'mmseg.EncoderDecoder'``.
    """
    return any(_full_name(kind) in names for kind in type(network).__mro__)


def _full_name(kind: type) -> str:
    return f'{kind.__module__.partition(".")[0]}.{kind.__name__}'
