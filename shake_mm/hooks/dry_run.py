"""A few steps of a training, to see whether it works and what it takes."""

import resource
import time
from statistics import median
from typing import Any

import torch
from mmengine.hooks import Hook

from ..engine import Distiller
from ..registry import HOOKS
from ..utils import unwrap_model
from .summary import duration, told

STEPS = 3
"""How many: the first, in which memory is allocated and the audit looks on, takes longer than the others."""


class DryRunOver(Exception):
    """A dry run has seen what it wanted; its message says what."""


@HOOKS.register_module()
class DryRunHook(Hook):
    """Ends a training after :data:`STEPS` steps, and tells the time that all of it takes and the memory.

    Raises:
        DryRunOver: With that sentence.
    """

    priority = 'LOWEST'

    def __init__(self) -> None:
        self._moments: list[float] = []

    def before_train_epoch(self, runner: Any) -> None:
        """Begin to measure, with the time that the first batch takes."""
        self._moments = self._moments or [time.perf_counter()]

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Note when a step ended, and stop after the last."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self._moments.append(time.perf_counter())
        steps = min(STEPS, runner.max_iters)
        if len(self._moments) <= steps:
            return
        taken = [after - before for before, after in zip(self._moments, self._moments[1:])]
        model, each = unwrap_model(runner.model), median(taken[1:] or taken)
        losses = ', '.join(
            f'{name} {float(torch.as_tensor(value).detach()):.4g}' for name, value in (outputs or {}).items()
        )
        what = f'{told(model)} ' if isinstance(model, Distiller) else ''
        raise DryRunOver(
            f'{what}{steps} steps passed ({losses}): {each:.3g} s each, {duration(each * runner.max_iters)} for all '
            f'{runner.max_iters} without validation; peak memory {_peak()}; nothing was written.'
        )


def _peak() -> str:
    if torch.cuda.is_available():
        return f'{torch.cuda.max_memory_allocated() / 2**30:.2f} GB of the GPU'
    return f'{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GB of the process'
