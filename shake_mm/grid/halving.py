"""Successive halving: many settings for a short time, the better ones for longer (Jamieson and Talwalkar, 2016)."""

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config

from ..errors import UsageError

FACTOR = 3
"""How many times longer each round is, and how much fewer settings it has."""
ROUNDS = 3
_EPOCHS = ('begin', 'end', 'T_max', 'milestones', 'step_size', 'total_iters')
"""Arguments of mmengine's schedulers that count epochs, where they count epochs."""


def rounds_of(epochs: int) -> list[int]:
    """Epochs of each round, the last of which is a whole training; short trainings have fewer rounds.

    Example:
        >>> rounds_of(20), rounds_of(2), rounds_of(1)
        ([2, 7, 20], [1, 2], [1])
    """
    return sorted({max(round(epochs / FACTOR**i), 1) for i in range(ROUNDS)})


def number_kept(number: int) -> int:
    """How many of so many settings go on to the next round.

    Example:
        >>> [number_kept(n) for n in (1, 3, 4, 9)]
        [1, 1, 2, 3]
    """
    return math.ceil(number / FACTOR)


def cost_of(number: int, rounds: Sequence[int]) -> int:
    """Epochs that halving takes which begins with so many settings.

    Example:
        >>> cost_of(9, [2, 7, 20])  # 9 of 2 epochs, 3 of 7, 1 of 20
        59
    """
    total = 0
    for epochs in rounds:
        total += number * epochs
        number = number_kept(number)
    return total


def affordable(epochs: float, rounds: Sequence[int], most: int) -> int:
    """With how many settings, at most ``most`` and at least 1, halving takes no more than so many epochs."""
    return max((n for n in range(1, most + 1) if cost_of(n, rounds) <= epochs), default=1)


def drawn(names: Sequence[str], number: int, seed: int = 0) -> list[str]:
    """So many of the names, drawn without replacement, the same ones and in the same order for a seed."""
    return random.Random(seed).sample(list(names), min(number, len(names)))


def best(values: Mapping[str, float], number: int) -> list[str]:
    """The names with the largest values, the best first; of equal ones those that came first."""
    return sorted(values, key=lambda name: -values[name])[:number]


def shorten(cfg: Config, epochs: int) -> None:
    """Make a training shorter, in place, with the whole of its schedule: the learning rate falls as it does in full.

    A warm-up that counts iterations stays as it is, and the training is validated at its end alone.

    Args:
        cfg (Config): With a training by epochs.
        epochs (int): How many.

    Raises:
        UsageError: If the training does not count epochs.
    """
    whole = cfg.train_cfg.get('max_epochs')
    if not whole:
        raise UsageError(
            'train_cfg.max_epochs is missing: a search shortens trainings by epochs, give the config some.'
        )
    ratio = epochs / whole
    schedulers = cfg.get('param_scheduler') or []
    for scheduler in [schedulers] if isinstance(schedulers, dict) else schedulers:
        for key in _EPOCHS if scheduler.get('by_epoch', True) else ():
            if scheduler.get(key) is not None:
                scheduler[key] = _scaled(scheduler[key], ratio)
    cfg.train_cfg.max_epochs = epochs
    cfg.train_cfg.val_interval = epochs
    for key in ('val_begin', 'dynamic_intervals'):
        cfg.train_cfg.pop(key, None)
    checkpoint = (cfg.get('default_hooks') or {}).get('checkpoint')
    if checkpoint is not None:
        checkpoint.update(interval=epochs, max_keep_ckpts=1, save_best=None)


def _scaled(value: Any, ratio: float) -> Any:
    if isinstance(value, (list, tuple)):
        return sorted({_scaled(item, ratio) for item in value})
    return max(round(value * ratio), 1) if value else value
