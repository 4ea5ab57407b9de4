"""What a run looks up in its metrics, compared with what they give: mmengine would find out after an epoch."""

import difflib
from collections.abc import Iterator
from typing import Any

from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from torch import nn

from ..engine import Distiller
from ..errors import UsageError
from ..evaluation import names_plainly
from ..hooks import MemberEvalHook
from ..tasks import task_of

COCO_ITEMS = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')
MEMBERS = ('teacher*', 'proxy*', 'student/top1', 'ensemble/top1', 'gap/*')


def check_metrics(runner: Runner, model: nn.Module) -> None:
    """Refuse a best checkpoint by a metric that the evaluator does not give, and more guesses than there are classes.

    Args:
        runner (Runner): With its validation built.
        model (nn.Module): Its model, unwrapped.

    Raises:
        UsageError: Naming the key and the metrics that there are.
    """
    if runner.val_loop is None:
        return
    evaluator = runner.val_loop.evaluator
    _check_guesses(evaluator.metrics, model)
    names = list(_names(evaluator.metrics))
    if '*' in names or not names_plainly(evaluator):
        return
    if any(isinstance(hook, MemberEvalHook) for hook in runner.hooks):
        names.extend(MEMBERS)
    for hook in runner.hooks:
        for key in getattr(hook, 'key_indicators', ()) if isinstance(hook, CheckpointHook) else ():
            if key != 'auto' and not any(_fits(key, name) for name in names):
                near = difflib.get_close_matches(key, names, n=1) or names
                raise UsageError(
                    f"default_hooks.checkpoint.save_best is '{key}', but val_evaluator gives {', '.join(names)}: set "
                    f"it to '{near[0]}'."
                )


def _check_guesses(metrics: list, model: nn.Module) -> None:
    try:
        student = model.student if isinstance(model, Distiller) else model
        task = model.task if isinstance(model, Distiller) else task_of(student)
        classes = task.num_classes(student)
    except UsageError:  # nothing is known of such networks
        return
    for metric in metrics:
        guesses = max(_tops(metric), default=0)
        if classes is not None and guesses > classes:
            raise UsageError(
                f'val_evaluator.topk is {guesses}, but the model knows {classes} classes: set it to {classes} or less.'
            )


def _tops(metric: Any) -> tuple[int, ...]:
    """How many guesses a metric of accuracy counts."""
    return tuple(getattr(metric, 'topk', ())) if type(metric).__name__ == 'Accuracy' else ()


def _names(metrics: list) -> Iterator[str]:
    """Names of metrics, ending in ``*`` where only their beginning is known."""
    for metric in metrics:
        kinds = getattr(metric, 'metrics', ())
        if not getattr(metric, 'prefix', None):
            yield '*'
        elif _tops(metric):
            yield from (f'{metric.prefix}/top{k}{"*" if len(metric.thrs) > 1 else ""}' for k in _tops(metric))
        elif type(metric).__name__ == 'CocoMetric' and not metric.classwise and set(kinds) <= {'bbox', 'segm'}:
            yield from (
                f'{metric.prefix}/{kind}_{item}' for kind in kinds for item in metric.metric_items or COCO_ITEMS
            )
        else:
            yield f'{metric.prefix}/*'


def _fits(key: str, name: str) -> bool:
    return key.startswith(name[:-1]) if name.endswith('*') else key == name
