"""Names under which TensorBoard, Weights & Biases and MLflow group what a distillation logs."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.visualization import LocalVisBackend

from ..registry import HOOKS

MEMBER = re.compile(r'(student|teacher\d*|proxy\d*|ensemble)/(.+)')


@HOOKS.register_module()
class TrackerHook(Hook):
    """Gives trackers names that stand together: they group by what is before the first slash.

    ``tools/train.py`` adds it to every distillation. The log, and ``scalars.json`` of ``LocalVisBackend``, keep the
    names of ``docs/logs.md``; the trackers get those of :func:`grouped`.
    """

    @master_only
    def before_train(self, runner: Any) -> None:
        """Let every tracker of the run rename what it is given."""
        for backend in runner.visualizer._vis_backends.values():
            if not isinstance(backend, LocalVisBackend) and 'add_scalars' not in vars(backend):
                backend.add_scalars = partial(_add_grouped, backend.add_scalars)


def grouped(scalars: Mapping[str, Any]) -> dict[str, Any]:
    """What a run logs at once, under names in groups.

    The sum and the terms are in ``loss/``, the accuracies of all members in a group for each metric; the student's own
    metric joins them where they have it too (``mIoU/student`` beside ``mIoU/teacher``: to MLflow's folders one name
    cannot be a metric and a group). ``gap/…``, ``share/…`` and all other names stay, and so does one whose new name
    another one has.

    Args:
        scalars (dict): Values by the names of the log.

    Example:
        >>> [*grouped({'loss': 3, 'loss_kd': 2, 'student.loss': 1, 'teacher/top1': 90, 'gap/teacher': 0.1, 'lr': 0.1})]
        ['loss/sum', 'loss/kd', 'loss/student.loss', 'top1/teacher', 'gap/teacher', 'lr']
    """
    names = {name: _group(name) for name in scalars}
    groups = {member[2] for name in scalars if (member := MEMBER.fullmatch(name))}
    names |= {name: f'{name}/student' for name in scalars if name in groups}
    taken = [*scalars, *names.values()]
    return {name if taken.count(new) > 1 and new != name else new: scalars[name] for name, new in names.items()}


def _group(name: str) -> str:
    member = MEMBER.fullmatch(name)
    if member:
        return f'{member[2]}/{member[1]}'
    if '/' in name or 'loss' not in name:
        return name
    return 'loss/sum' if name == 'loss' else f'loss/{name.removeprefix("loss_")}'


def _add_grouped(add: Any, scalar_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> None:
    """A tracker's ``add_scalars`` with the other names."""
    add(grouped(scalar_dict), *args, **kwargs)
