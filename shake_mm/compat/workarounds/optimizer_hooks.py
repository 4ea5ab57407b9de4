"""Hooks of optimizers, which ``torch.compile`` of torch 2.1 takes off."""

import inspect
import sys
from typing import Any

from torch import optim
from torch.optim import Optimizer

from ..upstream import needs

MODULE = 'torch._dynamo.eval_frame'


@needs(f'{MODULE}:TorchPatcher.patch()', 'torch.optim:Optimizer.profile_hook_step(func)')
def workaround_optimizer_hooks() -> bool:
    """Let optimizers call their step hooks also after the first ``torch.compile`` of a process.

    There torch 2.1 unwraps ``step`` of every optimizer, to compile it, and lets no later one be wrapped
    (``TorchPatcher.patch`` in ``torch/_dynamo/eval_frame.py``); the wrapper is what calls the hooks, and with it goes
    what :class:`~shake_mm.hooks.FiniteGuardHook` sees. Nobody here compiles an optimizer. Later versions of torch
    leave the wrapper where it is.
    """
    patcher = sys.modules[MODULE].TorchPatcher
    upstream = patcher.patch
    if 'hooked' not in inspect.unwrap(upstream).__code__.co_names:
        return False

    def patch() -> None:
        upstream()
        wrap_steps()

    patcher.patch = staticmethod(patch)
    wrap_steps()  # of a process that has compiled something already
    return True


def wrap_steps() -> None:
    """Wrap ``step`` of torch's optimizers that are said to be and are not."""
    wrap = Optimizer.profile_hook_step
    wrapper = wrap(Optimizer.step).__code__
    classes: list[Any] = [
        kind for kind in vars(optim).values() if isinstance(kind, type) and issubclass(kind, Optimizer)
    ]
    for kind in classes:
        step = kind.step
        if kind is not Optimizer and getattr(step, 'hooked', False) and step.__code__ is not wrapper:
            kind.step = wrap(step)
