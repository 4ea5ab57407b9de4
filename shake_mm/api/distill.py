"""One call from networks and data loaders, or a config, to a trained student."""

import os
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from torch import nn
from torch.utils.data import DataLoader

from ..checks import build_runner
from ..errors import UsageError
from ..locks import locked
from ..models import PlainModel
from ..safe_io import guard_loaders
from ..utils import hooks_restored, twin_of, unwrap_model
from .networks import Batch, as_member, logits_of, teacher_entry
from .settings import is_run, method_of, run_config, take_objects


def distill(
    student: Any,
    teacher: Any = None,
    train: DataLoader | dict | None = None,
    val: DataLoader | dict | None = None,
    method: str | dict | None = None,
    *,
    epochs: int | None = None,
    work_dir: str | os.PathLike | None = None,
    loss: nn.Module | None = None,
    optimizer: dict | None = None,
    task: dict | None = None,
    **settings: Any,
) -> nn.Module:
    """Train a student with teachers, by mmengine's Runner, and return it.

    Args:
        student (nn.Module | str | Path | dict): The network to train: a plain module, which is trained in place; a
            model of mmengine, or its config; the config of a run, which brings its data, optimizer and schedule along:
            a file, ``'shake_mm::…'``, or a dict. The config of a distillation may bring teacher and method, too.
        teacher (nn.Module | str | dict | list, optional): One or several trained networks: modules, which are frozen,
            or what a config's ``teachers`` may hold, ``dict(config=…, checkpoint=…)``.
        train (DataLoader | dict, optional): What is trained on: a loader of torch whose batches are pairs of images
            (N, C, H, W) and targets, or a config of one. Defaults to the config's.
        val (DataLoader | dict, optional): What all members are measured on after each epoch, likewise.
        method (str | dict, optional): A method by its name, ``'SHAKE'``, ``'KD'``, ``'dkd'`` or another file of
            ``configs/_base_/methods``, or a dict with its options: ``dict(type='KD', tau=2)``. Defaults to the config's
            own, else to SHAKE.
        epochs (int, optional): How long. Defaults to the config's, else to 10.
        work_dir (str | Path, optional): The folder for logs and checkpoints. Defaults to the config's, else to
            ``'work_dirs/distill'``.
        loss (nn.Module, optional): What a plain student learns from the targets by. Defaults to the cross entropy.
        optimizer (dict, optional): Such as ``dict(type='AdamW', lr=1e-3)``. Defaults to the config's, else to SGD with
            momentum, at a rate of 0.05 that falls by a cosine.
        task (dict, optional): How the logits are found and compared, where that is not known of the networks, see
            :class:`~shake_mm.tasks.GenericTask`.
        **settings: Further keys of a config: ``randomness=dict(seed=0)``, ``custom_hooks=[…]``, ``load_from=…``.

    Returns:
        nn.Module: The trained student, in evaluation mode and without anything of a distillation: the module that was
        given, or the plain model of a config.

    Raises:
        UsageError: If the parts cannot work together; the message names what to change.

    Example:
        >>> student = distill(small, teacher=large, train=loader, val=others, epochs=100)  # doctest: +SKIP
    """
    cfg = run_config(student, epochs, settings)
    cfg.work_dir = str(work_dir or cfg.get('work_dir') or os.path.join('work_dirs', 'distill'))
    cfg.setdefault('experiment_name', 'distill')
    if optimizer is not None:
        cfg.optim_wrapper = {**(cfg.get('optim_wrapper') or {}), 'optimizer': optimizer}
    lent = [network for network in (student, *_listed(teacher)) if isinstance(network, nn.Module)]
    with hooks_restored(*lent), guard_loaders(), locked(cfg.work_dir, 'a training'):
        model = _model(cfg, student, teacher, train, method, loss, task)
        _evaluate(cfg, model, val)
        runner = build_runner(cfg, 'train', take_objects(cfg, model=model, train_dataloader=train, val_dataloader=val))
        runner.train()
    return _trained(unwrap_model(runner.model).student, student)


def _model(cfg: Config, student: Any, teacher: Any, train: Any, method: Any, loss: Any, task: Any) -> dict[str, Any]:
    """The config of the distiller, in which networks that were given stand as they are."""
    config, own, teachers = method_of(method), student, _listed(teacher)
    if is_run(student):
        own = dict(cfg.model)
        if 'student' in own:  # a distillation, of which teachers and method may be exchanged
            config = (
                {key: value for key, value in own.items() if key not in ('student', 'teachers')}
                if method is None
                else config
            )
            own, teachers = own['student'], teachers or own.get('teachers', [])
    if isinstance(own, nn.Module):
        own = as_member(own, loss or nn.CrossEntropyLoss())
    if isinstance(own, PlainModel):
        batch = Batch(train)
        task = task if 'logits' in (task or {}) else {**_task(own, batch), **(task or {})}
        if task['logits'] == 'network' and list(own.network.children()) and config['type'] == 'shake_mm.SHAKE':
            _check_shadow(config)
        teachers = [teacher_entry(i, each, batch) for i, each in enumerate(teachers)]
        config.setdefault('input_size', tuple(batch.inputs.shape[2:]))
    elif loss is not None:
        raise UsageError('distill: `loss` is for a plain nn.Module, and this student has its own: leave it out.')
    if task is not None:
        config['task'] = task
    return {**config, 'student': own, 'teachers': teachers}


def _check_shadow(config: Mapping[str, Any]) -> None:
    """Refuse a shadow that would be a copy of a whole network."""
    if not config.get('proxies'):
        raise UsageError(
            "student: none of its layers makes its logits, of which SHAKE's shadow would be a copy: give method='KD', "
            "or dict(type='SHAKE', proxies=dict(type='ShadowHead', head=dict(…), source='student.network.…'))."
        )


def _task(student: PlainModel, batch: Batch) -> dict[str, Any]:
    """How plain networks run: their logits are what the student answers with, and scores of classes where it can be."""
    layer, answer = logits_of(student, batch.inputs, 'student')
    classes = {'num_classes': answer.shape[1]} if batch.classifies(answer) else {}
    shape = tuple(batch.inputs.shape[1:])
    return {
        'type': 'shake_mm.GenericTask',
        'logits': layer,
        'divergence': {'type': 'KLDivLoss'},
        'input_shape': shape,
        **classes,
    }


def _evaluate(cfg: Config, model: Mapping[str, Any], val: Any) -> None:
    """Let members be measured on ``val``, or nothing where the config brings no data for it."""
    if val is None and cfg.get('val_dataloader') is None:
        cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
        return
    cfg.setdefault('val_cfg', {})
    if cfg.get('val_evaluator') is None:
        if not (model.get('task') or {}).get('num_classes'):
            raise UsageError('distill: what is measured on `val` is not known of such networks: give `val_evaluator`.')
        cfg.val_evaluator = {'type': 'shake_mm.MemberMetric'}


def _trained(network: nn.Module, given: Any) -> nn.Module:
    """What is given back: the module that was lent, or the network without hooks."""
    if isinstance(given, nn.Module):
        return given.eval()
    return twin_of(network).eval()


def _listed(teacher: Any) -> list[Any]:
    if teacher is None:
        return []
    return list(teacher) if isinstance(teacher, list | tuple) else [teacher]
