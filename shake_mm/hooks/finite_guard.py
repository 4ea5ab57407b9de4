"""Never apply an update that is not finite, and stop."""

from collections.abc import Iterator
from typing import Any

import torch
from mmengine.hooks import Hook, LoggerHook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from ..errors import NonFiniteError
from ..registry import HOOKS


@HOOKS.register_module()
class FiniteGuardHook(Hook):
    """Stops a run whose losses or gradients are not finite, without a host sync per step.

    What every named loss was, and before every optimizer step the gradients' norm, is tested on the device. On the CPU,
    where reading the answer costs nothing, a bad one raises before the update. On an accelerator the gradients of that
    step and of all later ones are zeroed there, and the run stops at the next check: when it logs, at the end of an
    epoch, and before every checkpoint, so that none is written after it. Infinite gradients that AMP's scaler skips are
    no error.

    Args:
        interval (int, optional): Iterations between two checks on an accelerator. Defaults to those of the run's
            ``LoggerHook``, which reads the losses anyway.
    """

    priority = 'VERY_HIGH'

    def __init__(self, interval: int | None = None) -> None:
        self.interval = interval
        self._finite: dict[str, Tensor] = {}
        self._handles: list[Any] = []

    def before_train(self, runner: Any) -> None:
        """Watch the losses and the optimizer steps."""
        if self.interval is None:
            self.interval = next((hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)), 1)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model

        def watch(
            module: nn.Module, args: tuple, output: Any
        ) -> None:  # a plain function: copies of the model share it
            if module.training and isinstance(output, dict):
                for name, value in output.items():
                    self._note(name, value)

        self._handles = [model.register_forward_hook(watch)]
        self._handles += [opt.register_step_pre_hook(self._guard) for opt in optimizers_of(runner.optim_wrapper)]

    def after_train(self, runner: Any) -> None:
        """Stop watching."""
        for handle in self._handles:
            handle.remove()

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Check, where it costs nothing or is due."""
        due = self.every_n_inner_iters(batch_idx, self.interval) or self.end_of_epoch(
            runner.train_dataloader, batch_idx
        )
        if due or self._on_host():
            self._check()

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Never write a checkpoint after a bad step."""
        self._check()

    @torch.no_grad()
    def _guard(self, optimizer: Optimizer, args: tuple, kwargs: dict) -> None:
        grads = [p.grad for group in optimizer.param_groups for p in group['params'] if p.grad is not None]
        if not grads:
            return
        self._note('the gradients', get_total_norm(grads))
        if self._on_host():
            self._check()
            return
        bad = ~torch.stack(list(self._finite.values())).all()
        for grad in grads:
            grad.masked_fill_(bad, 0)

    @torch.no_grad()
    def _note(self, name: str, value: Any) -> None:
        for tensor in value if isinstance(value, (list, tuple)) else [value]:
            finite = torch.isfinite(tensor.detach()).all()
            self._finite[name] = self._finite[name] & finite if name in self._finite else finite

    def _on_host(self) -> bool:
        return all(flag.device.type == 'cpu' for flag in self._finite.values())

    def _check(self) -> None:
        culprits = [name for name, finite in self._finite.items() if not finite]
        if culprits:
            raise NonFiniteError(
                f'NaN or Inf in {", ".join(culprits)}: the run stopped, no update was applied from it and the last '
                'checkpoint is intact; lower the learning rate, or check the data and the weights of the terms.'
            )


def optimizers_of(wrapper: Any) -> Iterator[Optimizer]:
    """The optimizers in an optimizer wrapper, or in a dict of several."""
    for item in [wrapper] if isinstance(wrapper, OptimWrapper) else wrapper.values():
        yield item.optimizer
