"""The keys of a config that a run cannot do without."""

from collections.abc import Mapping
from numbers import Integral
from typing import Any

from mmengine.config import Config

from ..errors import UsageError

PARTS = {
    'train': ('train_dataloader', 'train_cfg', 'optim_wrapper'),
    'val': ('val_dataloader', 'val_cfg', 'val_evaluator'),
    'test': ('test_dataloader', 'test_cfg', 'test_evaluator'),
}


def check_config(cfg: Config, mode: str) -> None:
    """Refuse a config that lacks a key or holds an impossible number.

    Args:
        cfg (Config): The config, with the command line merged.
        mode (str): What is going to run, ``'train'`` or ``'test'``.

    Raises:
        UsageError: Naming the key.
    """
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
    if mode == 'train' and isinstance(cfg.train_cfg, Mapping):
        for key in ('max_epochs', 'max_iters'):
            _check_number('train_cfg', cfg.train_cfg, key, 1)


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


def _check_loader(name: str, loader: Any) -> None:
    if not isinstance(loader, Mapping):
        return
    _check_number(name, loader, 'batch_size', 1)
    _check_number(name, loader, 'num_workers', 0)
    needed = {
        'dataset': 'the data',
        'sampler': "the order of the samples, e.g. sampler=dict(type='DefaultSampler', shuffle=True)",
    }
    for key, what in needed.items():
        if loader.get(key) is None and not (key == 'sampler' and loader.get('batch_sampler') is not None):
            raise UsageError(f'{name}.{key} is missing, which is {what}: add it.')


def _check_number(where: str, part: Mapping, key: str, least: int) -> None:
    value = part.get(key)
    whole = isinstance(value, Integral) or (isinstance(value, float) and value.is_integer())
    if value is not None and (not whole or isinstance(value, bool) or value < least):
        raise UsageError(f'{where}.{key} is {value!r}, but it must be a whole number, {least} or more.')
