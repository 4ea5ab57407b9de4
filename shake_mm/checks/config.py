"""The keys of a config that a run cannot do without."""

import inspect
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from ..errors import UsageError
from .schema import at, check_option, check_schema

PARTS = {
    'train': ('train_dataloader', 'train_cfg', 'optim_wrapper'),
    'val': ('val_dataloader', 'val_cfg', 'val_evaluator'),
    'test': ('test_dataloader', 'test_cfg', 'test_evaluator'),
}
UNREAD = {'train': ('test_*',), 'test': ('train_*', 'val_*', 'optim_wrapper', 'param_scheduler', 'auto_scale_lr')}


def check_config(cfg: Config, mode: str) -> None:
    """Refuse a config that lacks a key or holds an impossible number.

    Args:
        cfg (Config): The config, with the command line merged.
        mode (str): What is going to run, ``'train'`` or ``'test'``.

    Raises:
        UsageError: Naming the key.
    """
    plain = cfg.to_dict()
    check_schema(plain, UNREAD[mode])
    _check_colors(plain)
    _check_saving(plain)
    if cfg.get('model') is None:
        raise UsageError(f'config {cfg.filename} has no `model`: add it, or a `_base_` that has it.')
    for name, keys in PARTS.items():
        missing = [key for key in keys if cfg.get(key) is None]
        if missing and (name == mode or len(missing) < len(keys)):
            rest = [key for key in keys if key not in missing]
            reason = f'which goes with {" and ".join(rest)}' if rest else f'without which nothing can {mode}'
            raise UsageError(f'config {cfg.filename} has no `{missing[0]}`, {reason}: add it.')
        if not missing:
            _check_loader(keys[0], cfg[keys[0]])
    if mode == 'train':
        _check_optimizer(cfg)
        _check_sharding(cfg)


def _check_colors(cfg: dict) -> None:
    """Refuse means and deviations that do not belong together, where mmdet or mmpretrain would fail to build."""
    for key, part in at(cfg, ('**', 'data_preprocessor')):
        mean, std = (part.get(name) for name in ('mean', 'std')) if isinstance(part, Mapping) else (None, None)
        if (mean is None) != (std is None):
            lacks = 'std' if std is None else 'mean'
            raise UsageError(f'{key} has no `{lacks}`, which goes with {"mean" if std is None else "std"}: add it.')
        if isinstance(mean, list | tuple) and isinstance(std, list | tuple) and len(mean) != len(std):
            raise UsageError(
                f'{key} has {len(mean)} means and {len(std)} standard deviations: give one of each for a channel.'
            )


def _check_saving(cfg: dict) -> None:
    """Refuse unknown options of a ``CheckpointHook``, which passes them on when it saves for the first time."""
    known = [*inspect.signature(CheckpointHook).parameters, *inspect.signature(Runner.save_checkpoint).parameters]
    known = [*(name for name in known if name not in ('self', 'kwargs')), 'type', 'priority', '_scope_']
    for key, hook in (*at(cfg, ('default_hooks', '*')), *at(cfg, ('custom_hooks', '*'))):
        if isinstance(hook, Mapping) and str(hook.get('type')).rpartition('.')[2] == 'CheckpointHook':
            for name in hook:
                check_option(key, name, known)


def _check_optimizer(cfg: Config) -> None:
    """Refuse a sharded optimizer whose state would be saved: mmengine has one process save what all must gather."""
    optimizer = cfg.optim_wrapper.get('optimizer') if isinstance(cfg.optim_wrapper, Mapping) else None
    kind = optimizer.get('type') if isinstance(optimizer, Mapping) else None
    hook = (cfg.get('default_hooks') or {}).get('checkpoint', {})
    if str(kind).endswith('ZeroRedundancyOptimizer') and hook is not None and hook.get('save_optimizer', True):
        raise UsageError(
            'optim_wrapper.optimizer: the state of a ZeroRedundancyOptimizer cannot be saved by mmengine, whose first '
            'process would wait for the others forever: set default_hooks.checkpoint.save_optimizer=False.'
        )


def _check_sharding(cfg: Config) -> None:
    """Refuse shards of the model, which mmengine's Runner would leave out without a word, or stages could not enter."""
    wrapper = cfg.get('model_wrapper_cfg')
    kind = str(wrapper.get('type')).rpartition('.')[2] if isinstance(wrapper, Mapping) else ''
    asked = {
        'strategy': cfg.get('strategy') is not None,
        'runner_type': str(cfg.get('runner_type')).rpartition('.')[2] == 'FlexibleRunner',
        'model_wrapper_cfg': kind == 'MMFullyShardedDataParallel',
    }
    for key in (key for key, given in asked.items() if given):
        raise UsageError(
            f'{key}: taps and proxies read the members of a distiller layer by layer, and find no whole weights where '
            f'FSDP or DeepSpeed shards them: leave `{key}` out, and for less memory use --amp, accumulative_counts or '
            'a ZeroRedundancyOptimizer.'
        )


def _check_loader(name: str, loader: Any) -> None:
    if not isinstance(loader, Mapping):
        return
    needed = {
        'dataset': 'the data',
        'sampler': "the order of the samples, e.g. sampler=dict(type='DefaultSampler', shuffle=True)",
    }
    for key, what in needed.items():
        if loader.get(key) is None and not (key == 'sampler' and loader.get('batch_sampler') is not None):
            raise UsageError(f'{name}.{key} is missing, which is {what}: add it.')
