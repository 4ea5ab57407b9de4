"""The config of a run that is started from Python, and what of it is given as objects."""

import difflib
import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from ..errors import UsageError
from ..explain import explain
from ..registry import MODELS, type_name
from ..utils import config_file

METHODS = 'shake_mm::_base_/methods'
EPOCHS, RATE = 10, 0.05


def is_run(student: Any) -> bool:
    """Whether a student is the config of a run, and not a network or its config."""
    return isinstance(student, str | os.PathLike | Config) or (isinstance(student, Mapping) and 'model' in student)


def run_config(student: Any, epochs: int | None, options: Mapping[str, Any]) -> Config:
    """The config of the run: the student's own, or one for networks, with the hooks of a distillation.

    Args:
        student (str | Path | dict | nn.Module): See :func:`.distill`.
        epochs (int, optional): How long.
        options (dict): Keys of a config, which take the place of those of the run or are merged into them.

    Raises:
        UsageError: If there is no such file, or an option is none.
    """
    if is_run(student):
        cfg = _read(student)
        if epochs is not None:
            cfg.merge_from_dict({'train_cfg': {'by_epoch': True, 'max_epochs': epochs}})
    else:
        cfg = Config(
            dict(
                default_scope='mmengine',
                train_cfg=dict(by_epoch=True, max_epochs=EPOCHS if epochs is None else epochs, val_interval=1),
                optim_wrapper=dict(optimizer=dict(type='SGD', lr=RATE, momentum=0.9, weight_decay=5e-4)),
                param_scheduler=dict(type='CosineAnnealingLR', by_epoch=True, convert_to_iter_based=True),
                default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=1)),
                custom_imports=dict(imports=['shake_mm'], allow_failed_imports=False),
            )
        )
        cfg.param_scheduler.T_max = cfg.train_cfg.max_epochs
    _merge(cfg, options)
    ours = Config.fromfile(config_file('shake_mm::_base_/distill.py')).custom_hooks
    hooks = [*(cfg.get('custom_hooks') or [])]
    there = {type_name(hook.get('type')) for hook in hooks}
    cfg.custom_hooks = [*hooks, *(hook for hook in ours if type_name(hook['type']) not in there)]
    return cfg


def method_of(method: str | dict | None) -> dict[str, Any]:
    """The config of a method: a name of ``configs/_base_/methods``, or a dict whose type may be one.

    Raises:
        UsageError: If there is no such method; the nearest are named.
    """
    given = {'type': method or 'SHAKE'} if method is None or isinstance(method, str) else dict(method)
    name = given.pop('type', None)
    if not isinstance(name, str) or '.' in name:
        return {'type': name, **given}
    file = Path(config_file(f'{METHODS}/shake.py')).parent / f'{name.lower()}.py'
    if file.is_file():
        # The papers' setting is for configs that repeat them: here, what was measured to help.
        return {**{key: value for key, value in Config.fromfile(file).method.items() if key != 'setting'}, **given}
    if name in MODELS.module_dict or MODELS.get(f'shake_mm.{name}'):
        return {'type': f'shake_mm.{name}', **given}
    known = {path.stem for path in file.parent.glob('*.py')}
    near = difflib.get_close_matches(name.lower(), known, n=3) or ['shake', 'kd', 'dml']
    raise UsageError(f"method: there is no '{name}': did you mean {' or '.join(near)}?")


def take_objects(cfg: Config, **parts: Any) -> dict[str, Any]:
    """Put parts into a config: configs as they are, of objects a description.

    Args:
        cfg (Config): The run's.
        **parts (Any): By key; None leaves what is there.

    Returns:
        dict: The objects. A model that holds networks is built.
    """
    built: dict[str, Any] = {}
    for key, part in parts.items():
        if part is None:
            continue
        if isinstance(part, DataLoader):
            built[key], part = part, _told_loader(part)
        elif _holds_network(part):
            with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
                built[key] = _built(dict(part))
            part = _told(part)
        cfg[key] = part
    return built


def _built(part: dict[str, Any]) -> nn.Module:
    try:
        return MODELS.build(part)
    except TypeError as error:  # an argument that the method does not have
        if (sentence := explain(error)) is None:
            raise
        raise UsageError(sentence) from error


def _read(source: Any) -> Config:
    if isinstance(source, Mapping | Config):
        return Config(source.to_dict() if isinstance(source, Config) else dict(source))
    file = config_file(os.fspath(source))
    if not os.path.isfile(file):
        raise UsageError(f'student: config {source} does not exist: correct the path, or give a network.')
    cfg = Config.fromfile(file)
    if cfg.get('model') is None:
        raise UsageError(f'student: config {source} has no `model`: give that of a whole run.')
    return cfg


def _merge(cfg: Config, options: Mapping[str, Any]) -> None:
    known = [*inspect.signature(Runner).parameters, 'custom_imports', 'auto_scale_lr', 'trust_pickles']
    for key in options:
        if key not in known:
            near = difflib.get_close_matches(key, [*known, 'epochs', 'method', 'teacher', 'optimizer'], n=1)
            hint = f'did you mean {near[0]}?' if near else 'it is no key of a config.'
            raise UsageError(f"distill: unknown argument '{key}': {hint}")
    hooks = options.get('custom_hooks', [])
    cfg.merge_from_dict({key: value for key, value in options.items() if key != 'custom_hooks'})
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), *hooks]


def _holds_network(part: Any) -> bool:
    if isinstance(part, Mapping):
        return any(map(_holds_network, part.values()))
    return any(map(_holds_network, part)) if isinstance(part, list | tuple) else isinstance(part, nn.Module)


def _told(part: Any) -> Any:
    """A config whose networks are replaced by the names of their classes."""
    if isinstance(part, Mapping):
        return {key: _told(value) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return [_told(value) for value in part]
    return _described(getattr(part, 'network', part)) if isinstance(part, nn.Module) else part


def _told_loader(loader: DataLoader) -> dict[str, Any]:
    try:
        len(loader.dataset)
    except TypeError:
        raise UsageError(
            f'train, val: a {type(loader.dataset).__name__} has no length, by which epochs are counted: give a data '
            'set with `__len__`.'
        ) from None
    sampler = _described(loader.sampler)
    return dict(
        batch_size=loader.batch_size, sampler=sampler, dataset=_described(loader.dataset), drop_last=loader.drop_last
    )


def _described(value: Any) -> dict[str, str]:
    """What stands in the config that a run keeps for an object that was given."""
    return {'type': f'{type(value).__module__}.{type(value).__qualname__}'}
