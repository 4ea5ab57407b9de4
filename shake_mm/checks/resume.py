"""Whether a checkpoint is of the run that goes on from it; mmengine fails half way, or goes on with other parts."""

import math
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import OPTIMIZERS
from torch import Tensor, nn

from ..errors import UsageError
from .schema import TEXT, Rule, at, list_of, number, shown, whole

MEND = 'give the config that it was trained with, or start from its weights by `load_from`, without resuming'
HUB = ('log_scalars', 'runtime_info', 'resumed_keys')
SHOWN = 3
DENSE = ('SGD', 'Adam', 'AdamW', 'RMSprop', 'Adagrad', 'NAdam', 'RAdam')
"""Optimizers that remember tensors of the shapes of the parameters, and numbers."""
_REAL, _REALS = number(-math.inf), list_of(number(-math.inf))
RUNTIME = {
    'keep_ckpt_ids': list_of(whole(0)),
    'best_score*': _REAL,
    'best_ckpt*': TEXT,
    'last_ckpt': TEXT,
}
SCHEDULER = {
    'last_step': whole(-1),
    '_global_step': whole(0),
    'begin': whole(0, exact=False),
    'end': whole(0, exact=False),
    'base_values': _REALS,
    '_last_value': _REALS,
    'gamma': _REAL,
    'factor': _REAL,
    'param_name': TEXT,
}
"""What mmengine's hooks and schedulers take over from a checkpoint, and meet when they next work."""


def check_last(cfg: Config) -> None:
    """Refuse a ``last_checkpoint`` that is no text, or names no file.

    Args:
        cfg (Config): With the command line merged; it is read only where a run goes on from its own work directory.

    Raises:
        UsageError: Naming the file.
    """
    path = Path(str(cfg.get('work_dir'))) / 'last_checkpoint'
    if not cfg.get('resume') or cfg.get('load_from') is not None or not path.exists():
        return
    try:
        name = path.read_text(encoding='utf-8').strip()
        names_one = name.isprintable() and name != ''
    except ValueError:
        names_one = False
    if not names_one:
        raise UsageError(f'{path} is damaged, it names no checkpoint: give one, `--resume PATH`, or remove the file.')


def check_resume(model: nn.Module, cfg: Config, source: str, loaded: Mapping[str, Any]) -> None:
    """Refuse to go on from a checkpoint of another method, network or optimizer, or from a damaged one.

    Args:
        model (nn.Module): The run's model, unwrapped.
        cfg (Config): The run's config.
        source (str): The checkpoint, named in errors.
        loaded (Mapping): What it holds.

    Raises:
        UsageError: Naming the file and what differs.
    """
    here = f"resume: checkpoint '{source}'"
    meta, hub = loaded['meta'], loaded['message_hub']
    for key in ('epoch', 'iter'):
        place = meta.get(key) if isinstance(meta, Mapping) else None
        if not whole(0).holds(place):
            raise UsageError(
                f'{here} does not tell where its run stood (meta.{key} is {shown(place)}): use an earlier one, or '
                'start from its weights by `load_from`, without resuming.'
            )
    if not isinstance(hub, Mapping) or not all(isinstance(hub.get(key), Mapping) for key in HUB):
        raise UsageError(f'{here} is damaged, its message_hub lacks {" or ".join(HUB)}: use an earlier one.')
    _check_names(model, here, loaded.get('state_dict', {}))
    wrapper = cfg.get('optim_wrapper')
    if isinstance(wrapper, Mapping) and isinstance(wrapper.get('optimizer'), Mapping):
        _check_optimizer(wrapper['optimizer'], here, loaded['optimizer'])
        if str(wrapper['optimizer'].get('type')) in DENSE:
            _check_moments(model, here, loaded['optimizer'])
    _check_rules(here, 'message_hub.runtime_info', hub['runtime_info'], RUNTIME)
    schedulers = loaded.get('param_schedulers')  # mmengine writes none of a run without them
    for scheduler in schedulers if isinstance(schedulers, list) else ():
        _check_rules(here, 'param_schedulers', scheduler, SCHEDULER)


def _check_names(model: nn.Module, here: str, state: Mapping[str, Any]) -> None:
    mine, theirs = model.state_dict(), {key.removeprefix('module.'): value for key, value in state.items()}
    missing = [key for key, _ in model.named_parameters() if key in mine and key not in theirs]
    extra = [key for key in theirs if key not in mine and not key.startswith(('ema_', 'data_preprocessor.'))]
    # What is no tensor has no shape.
    shapes = [key for key in mine if key in theirs and getattr(theirs[key], 'shape', None) != mine[key].shape]
    for keys, what in ((missing, 'lacks'), (extra, 'also holds'), (shapes, 'has in another shape')):
        if keys:
            more = f' and {len(keys) - SHOWN} more' if len(keys) > SHOWN else ''
            raise UsageError(
                f'{here} is of another method or network, it {what} {", ".join(keys[:SHOWN])}{more}: {MEND}.'
            )


def _check_optimizer(config: Mapping[str, Any], here: str, state: Any) -> None:
    """Refuse the state of an optimizer with other settings: torch takes them over, and fails in the first step."""
    groups = state.get('param_groups') if isinstance(state, Mapping) else None
    if not isinstance(groups, list) or not groups or not all(map(_is_group, groups)):
        raise UsageError(f'{here} holds no state of one optimizer, as this run has: {MEND}.')
    dummy = [nn.Parameter(torch.zeros(1))]
    try:
        optimizer = OPTIMIZERS.build({**config, 'params': dummy})
    except Exception:  # as a sharded one, which needs processes, or a wrong one, which the run will tell
        return
    optimizer.load_state_dict({'state': {}, 'param_groups': [{**groups[0], 'params': [0]}]})
    missing = [key for key in optimizer.defaults if key not in optimizer.param_groups[0]]
    if missing:
        raise UsageError(
            f'{here} is of a run with another optimizer than {type(optimizer).__name__}, it has no '
            f'{", ".join(missing)}: {MEND}.'
        )
    for key, default in optimizer.defaults.items():
        for group in groups:
            if key in group and not _is_alike(group[key], default):
                raise UsageError(f'{here} is damaged, its optimizer has {key}={shown(group[key])}: use an earlier one.')


def _is_group(group: Any) -> bool:
    """Whether this is the state of a group of parameters, each of which has a number."""
    return isinstance(group, Mapping) and 'lr' in group and list_of(whole(0)).holds(group.get('params'))


def _is_alike(value: Any, default: Any) -> bool:
    """Whether an optimizer can work with a value in the place of a default."""
    if isinstance(value, Tensor):
        return value.numel() == 1
    if isinstance(default, list | tuple):
        return isinstance(value, list | tuple) and len(value) == len(default) and all(map(_is_alike, value, default))
    if default is None or isinstance(default, bool):  # which torch's optimizers choose between by themselves
        return value is None or isinstance(value, bool) or number(-math.inf).holds(value)
    return number(-math.inf).holds(value) if isinstance(default, Real) else type(value) is type(default)


def _check_moments(model: nn.Module, here: str, state: Mapping[str, Any]) -> None:
    """Refuse what an optimizer remembers of its parameters, where it is not of their shapes."""
    groups, moments = state.get('param_groups'), state.get('state')
    parts = list(model.parameters())
    if not isinstance(moments, Mapping) or not all(isinstance(part, Mapping) for part in moments.values()):
        raise UsageError(f'{here} is damaged, its optimizer has no state: use an earlier one.')
    places = [place for group in groups or () for place in group['params']]
    if places != list(range(len(parts))):  # groups of other orders
        return
    for place, part in moments.items():
        for key, value in part.items():
            shape = value.shape if isinstance(value, Tensor) else ()
            if place not in places or (shape not in ((), (1,)) and shape != parts[place].shape):
                raise UsageError(
                    f'{here} is damaged, {key} of its optimizer does not fit parameter {shown(place)}: use an earlier '
                    'one.'
                )


def _check_rules(here: str, name: str, part: Any, rules: Mapping[str, Rule]) -> None:
    for key, rule in rules.items():
        for found, value in at(part, [key]) if isinstance(part, Mapping) else ():
            if value is not None and not rule.holds(value):
                raise UsageError(
                    f'{here} is damaged, its {name}.{found} is {shown(value)}, but must be {rule.wanted}: use an '
                    'earlier one.'
                )
