"""Never apply an update that is not finite: stop, or skip it."""

import math
from collections.abc import Iterator
from logging import WARNING
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import EMAHook, Hook, LoggerHook
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor, nn
from torch.optim import Optimizer

from ..compat.torch_names import all_finite, get_total_norm
from ..errors import NonFiniteError, UsageError
from ..optim import OptimWrapperByLoss
from ..registry import HOOKS
from ..utils import unwrap_model
from .recent_batches import SHOWN, RecentBatches, shortened

POLICIES = ('stop', 'skip')
COUNT = 'skipped_updates'


@HOOKS.register_module()
class FiniteGuardHook(Hook):
    """Stops a run whose losses or gradients are not finite, or skips such steps.

    Every named loss and, before every optimizer step, the gradients (on an accelerator their norm) are tested on the
    device. The error names what was not finite first, the iteration, and the samples of that batch; all their ids are
    in the log.

    ``'stop'`` needs no host sync per step. On the CPU, where reading the answer costs nothing, a bad one raises before
    the update. On an accelerator the gradients of that step and of all later ones are zeroed there, and the run stops
    at the next check: when it logs, at the end of an epoch, and before every checkpoint, so that none is written after
    it.

    ``'skip'`` reads one number a step, for which the host waits for the accelerator, as AMP's scaler does anyway. The
    gradients of a bad step are dropped, with those accumulated for the same update: weights and the optimizer's state
    stay as they are, likewise averaged weights (``EMAHook``); running statistics and memories are as before the step.
    All processes skip the same steps. Each is logged and counted, across resumes too.

    Infinite gradients that AMP's scaler skips are not an error.

    Args:
        interval (int, optional): Iterations between two checks on an accelerator. Defaults to the interval of the run's
            ``LoggerHook``, which reads the losses anyway.
        policy (str): ``'stop'`` or ``'skip'``. Defaults to ``'stop'``.
        max_skips (int): With ``'skip'``, the run stops at the next bad step after this many. Defaults to 10.

    Raises:
        UsageError: If there is no such policy, or ``max_skips`` is less than 1.
    """

    priority = 'VERY_HIGH'

    def __init__(self, interval: int | None = None, policy: str = 'stop', max_skips: int = 10) -> None:
        if policy not in POLICIES:
            raise UsageError(f"FiniteGuardHook: policy='{policy}', but it must be one of {POLICIES}.")
        if not max_skips >= 1:
            raise UsageError(f"FiniteGuardHook: max_skips={max_skips} must be 1 or more: policy='stop' skips none.")
        self.interval, self.policy, self.max_skips = interval, policy, max_skips
        self._iteration = 0
        self._first: dict[str, Tensor | int] = {}  # the first iteration in which each value was bad, or -1
        self._batches = RecentBatches()
        self._handles: list[Any] = []
        self._model: nn.Module  # the run's, without its wrapper
        self._before: dict[str, Tensor] = {}  # buffers as they were before the step
        self._spoilt = False  # whether the gradients of the coming update are to be dropped

    def before_train(self, runner: Any) -> None:
        """Watch the losses and the optimizer steps."""
        if self.interval is None:
            self.interval = next((hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)), 1)
        self._model = unwrap_model(runner.model)

        def watch(
            module: nn.Module, args: tuple, output: Any
        ) -> None:  # a plain function: copies of the model share it
            if module.training and isinstance(output, dict):
                for name, value in output.items():
                    self._note(name, value)

        self._handles = [self._model.register_forward_hook(watch)]
        wrapper = runner.optim_wrapper
        by_loss = isinstance(wrapper, OptimWrapperByLoss)  # whose optimizers must all step, or none
        if by_loss:
            wrapper.before_steps.append(self._look)
        guard = self._drop if by_loss else self._guard
        self._handles += [optimizer.register_step_pre_hook(guard) for optimizer in optimizers_of(wrapper)]

    def after_train(self, runner: Any) -> None:
        """Stop watching, and log how many updates were skipped."""
        for handle in self._handles:
            handle.remove()
        if isinstance(runner.optim_wrapper, OptimWrapperByLoss):
            runner.optim_wrapper.before_steps.remove(self._look)
        if self.policy == 'skip' and (count := _count(runner)):
            runner.logger.warning(f'{count} updates were skipped in all: NaN or Inf (see above, or earlier logs)')

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Remember where the run stands."""
        self._iteration = runner.iter + 1
        self._batches.note(self._iteration, data_batch)
        if self.policy == 'skip':
            _let_average(runner, True)
            self._before = {name: buffer.clone() for name, buffer in self._model.named_buffers()}

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Check when it is due, or wherever that costs nothing."""
        if self.policy == 'skip':
            self._settle(runner)
            return
        due = self.every_n_inner_iters(batch_idx, self.interval) or self.end_of_epoch(
            runner.train_dataloader, batch_idx
        )
        if due or self._on_host():
            self._check()

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Never write a checkpoint after a bad step."""
        self._check()

    def _guard(self, optimizer: Optimizer, args: tuple, kwargs: dict) -> None:
        self._look([parameter.grad for parameter in _moved(optimizer)])
        self._drop(optimizer)

    @torch.no_grad()
    def _drop(self, optimizer: Optimizer, *_: Any) -> None:
        """Keep bad gradients from an optimizer that is about to step."""
        if self.policy == 'skip':
            for parameter in _moved(optimizer) if self._spoilt else ():
                parameter.grad = None  # an optimizer leaves alone what has none, and its state
        elif self._first and not self._on_host():
            bad = self._worst() >= 0
            for parameter in _moved(optimizer):
                _numbers(parameter.grad).masked_fill_(bad, 0)

    @torch.no_grad()
    def _look(self, gradients: list[Tensor]) -> None:
        """Note whether gradients are finite, and learn the answer where that is due."""
        if not gradients:
            return
        gradients = [_numbers(gradient) for gradient in gradients]
        if all(gradient.device.type == 'cpu' for gradient in gradients):
            self._mark('the gradients', all_finite(gradients))
        else:
            self._note('the gradients', get_total_norm(gradients))
        if self.policy == 'skip':
            self._spoilt |= self._bad_anywhere()
        elif self._on_host():
            self._check()

    @torch.no_grad()
    def _note(self, name: str, value: Any) -> None:
        for tensor in value if isinstance(value, (list, tuple)) else [value]:
            if tensor.device.type == 'cpu':
                self._mark(name, _is_finite(tensor))
                continue
            now = torch.where(torch.isfinite(tensor.detach()).all(), -1, self._iteration)
            earlier = self._first.get(name, now)
            self._first[name] = torch.where(earlier >= 0, earlier, now)

    def _mark(self, name: str, finite: bool) -> None:
        """Note what the host knows."""
        if self._first.get(name, -1) < 0:
            self._first[name] = -1 if finite else self._iteration

    def _on_host(self) -> bool:
        return all(isinstance(first, int) for first in self._first.values())

    def _bad_anywhere(self) -> bool:
        """Whether anything was bad in any process."""
        flag = self._worst()
        all_reduce(flag, 'max')
        return bool(flag >= 0)

    def _worst(self) -> Tensor:
        """The last of the iterations in which something was bad first, or -1, where the numbers are."""
        firsts = self._first.values()
        device = next((first.device for first in firsts if isinstance(first, Tensor)), 'cpu')
        return torch.stack([torch.as_tensor(first, device=device) for first in firsts]).amax()

    def _settle(self, runner: Any) -> None:
        """Skip the step if it was bad, and finish it in either case."""
        if bad := bool(self._first) and self._bad_anywhere():
            for name, buffer in self._model.named_buffers():
                buffer.copy_(self._before[name])
            self._report(runner)
        if bad or self._spoilt:
            _let_average(runner, False)
        updated = all(wrapper.should_update() for wrapper in wrappers_of(runner.optim_wrapper))
        self._spoilt = (self._spoilt or bad) and not updated
        self._first.clear()
        self._batches.forget()

    def _report(self, runner: Any) -> None:
        """Count a skipped step, and stop the run if there have been too many."""
        count = _count(runner) + 1
        runner.message_hub.update_info(COUNT, count)
        _, what = self._culprits()
        if count > self.max_skips:
            raise NonFiniteError(
                f'{what}: the run stopped, as max_skips={self.max_skips} of FiniteGuardHook was reached before, and '
                'the last checkpoint is intact; check the data, or lower the learning rate.'
            )
        runner.logger.warning(f'{what}: its update is skipped ({count} of at most {self.max_skips})')

    def _culprits(self) -> tuple[list[str], str]:
        """What was bad first, and a phrase that names it, the iteration and the samples."""
        bad = {name: int(first) for name, first in self._first.items() if first >= 0}
        at = min(bad.values(), default=self._iteration)
        names = [name for name, iteration in bad.items() if iteration == at]
        ids = self._batches.ids(at) if names else []
        samples = shortened(ids) if names else 'in another process'
        if len(ids) > SHOWN:
            print_log(f'samples of iteration {at}: {ids}', 'current', WARNING)
        return names, f'NaN or Inf in {", ".join(names) or "a loss"} in iteration {at}, {samples}'

    def _check(self) -> None:
        names, what = self._culprits()
        if names:
            raise NonFiniteError(
                f'{what}: the run stopped, no update was applied from it and the last checkpoint is intact; lower the '
                'learning rate, or check the data and the weights of the terms.'
            )
        self._first.clear()
        self._batches.forget()


def _numbers(gradient: Tensor) -> Tensor:
    """All that a gradient holds, in place; of a sparse one what is not zero."""
    return gradient._values() if gradient.is_sparse else gradient


def _is_finite(tensor: Tensor) -> bool:
    """Whether all numbers of a tensor on the CPU are, read by the host where there is one alone, which is cheaper."""
    return math.isfinite(tensor.item()) if tensor.numel() == 1 else bool(torch.isfinite(tensor).all())


def wrappers_of(wrapper: Any) -> Iterator[OptimWrapper]:
    """An optimizer wrapper, or those in a dict of several."""
    yield from wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]


def optimizers_of(wrapper: Any) -> Iterator[Optimizer]:
    """The optimizers in an optimizer wrapper, or in a dict of several."""
    return (item.optimizer for item in wrappers_of(wrapper))


def _moved(optimizer: Optimizer) -> list[nn.Parameter]:
    """The parameters that a step would move."""
    return [p for group in optimizer.param_groups for p in group['params'] if p.grad is not None]


def _count(runner: Any) -> int:
    return runner.message_hub.runtime_info.get(COUNT, 0)


def _let_average(runner: Any, go_on: bool) -> None:
    """Let averaged weights take part in an iteration, or not: their hook would average weights that did not change."""
    for hook in runner.hooks:
        if isinstance(hook, EMAHook):
            vars(hook).pop('after_train_iter', None)
            if not go_on:
                hook.after_train_iter = _pass_by


def _pass_by(*args: Any, **kwargs: Any) -> None:
    """Stand in for a hook's method for one iteration."""
