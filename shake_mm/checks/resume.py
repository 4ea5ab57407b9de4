"""Whether a checkpoint is of the run that goes on from it; mmengine fails half way, or goes on with other parts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import OPTIMIZERS
from torch import nn

from ..errors import UsageError
from .schema import whole

MEND = 'give the config that it was trained with, or start from its weights by `load_from`, without resuming'
HUB = ('log_scalars', 'runtime_info', 'resumed_keys')
SHOWN = 3


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
                f'{here} does not tell where its run stood (meta.{key} is {place!r}): use an earlier one, or start '
                'from its weights by `load_from`, without resuming.'
            )
    if not isinstance(hub, Mapping) or not all(isinstance(hub.get(key), Mapping) for key in HUB):
        raise UsageError(f'{here} is damaged, its message_hub lacks {" or ".join(HUB)}: use an earlier one.')
    _check_names(model, here, loaded.get('state_dict', {}))
    wrapper = cfg.get('optim_wrapper')
    if isinstance(wrapper, Mapping) and isinstance(wrapper.get('optimizer'), Mapping):
        _check_optimizer(wrapper['optimizer'], here, loaded['optimizer'])


def _check_names(model: nn.Module, here: str, state: Mapping[str, Any]) -> None:
    mine, theirs = model.state_dict(), {key.removeprefix('module.'): value for key, value in state.items()}
    missing = [key for key, _ in model.named_parameters() if key in mine and key not in theirs]
    extra = [key for key in theirs if key not in mine and not key.startswith(('ema_', 'data_preprocessor.'))]
    shapes = [key for key in mine if key in theirs and mine[key].shape != theirs[key].shape]
    for keys, what in ((missing, 'lacks'), (extra, 'also holds'), (shapes, 'has in another shape')):
        if keys:
            more = f' and {len(keys) - SHOWN} more' if len(keys) > SHOWN else ''
            raise UsageError(
                f'{here} is of another method or network, it {what} {", ".join(keys[:SHOWN])}{more}: {MEND}.'
            )


def _check_optimizer(config: Mapping[str, Any], here: str, state: Any) -> None:
    """Refuse the state of an optimizer with other settings: torch takes them over, and fails in the first step."""
    groups = state.get('param_groups') if isinstance(state, Mapping) else None
    if not groups or not all(isinstance(group, Mapping) and 'lr' in group for group in groups):
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
