"""The distillation-oriented trainer (Zhao et al., ICCV 2023): task and distillation have momenta of their own."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn
from torch.optim import SGD

from ..errors import UsageError
from ..registry import OPTIM_WRAPPERS, OPTIMIZERS
from .parts import average, summands_of, unaveraged


@OPTIMIZERS.register_module()
class TwoMomentaSGD(SGD):
    r"""SGD with a larger momentum for the gradients of distillation than for those of the task (Eqs. 5 to 7).

    .. math::
        v_{kd} &\leftarrow (\mu + \Delta) \, v_{kd} + g_{kd} \\
        v_{task} &\leftarrow (\mu - \Delta) \, v_{task} + g_{task} + w \theta \\
        \theta &\leftarrow \theta - \eta \, (v_{kd} + v_{task})

    What only one of both reaches (a connector, say) has the momentum :math:`\mu`. ``grad`` of a parameter is the sum of
    both gradients, so that hooks see what they always do, and :attr:`distilled` holds the share of distillation.

    Args:
        params (iterable): Parameters, or groups of them.
        lr (float): :math:`\eta`.
        momentum (float): :math:`\mu`. Defaults to 0.9.
        delta (float): :math:`\Delta`, at most :math:`\mu` and :math:`1 - \mu`. Defaults to 0.075, the authors' for
            CIFAR-100.
        weight_decay (float): :math:`w`. Defaults to 0.

    Raises:
        UsageError: If a momentum would not lie between 0 and 1.
    """

    def __init__(
        self, params: Any, lr: float, momentum: float = 0.9, delta: float = 0.075, weight_decay: float = 0.0
    ) -> None:
        if not (0 <= delta <= momentum and momentum + delta < 1):
            raise UsageError(
                f'optimizer: momentum={momentum} and delta={delta} give the momenta {momentum - delta:g} and '
                f'{momentum + delta:g}, which must lie in [0, 1): lower delta.'
            )
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=weight_decay)
        for group in self.param_groups:
            group.setdefault('delta', delta)
        self.defaults['delta'] = delta
        self.distilled: dict[nn.Parameter, Tensor] = {}
        self.undistilled: set[nn.Parameter] = set()

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:
        """Update all parameters that have a gradient."""
        for group in self.param_groups:
            for parameter in group['params']:
                if parameter.grad is not None:
                    parameter.add_(self._velocity(parameter, group), alpha=-group['lr'])
        self.distilled, self.undistilled = {}, set()

    def _velocity(self, parameter: nn.Parameter, group: Mapping[str, Any]) -> Tensor:
        """Both velocities of a parameter after this step, added up."""
        share = self.distilled.get(parameter)
        both = share is not None and parameter not in self.undistilled
        delta = group['delta'] if both else 0.0
        task = parameter.grad
        if share is not None:
            share = share.where(share.isfinite(), 0)  # where a guard has zeroed the sum
            task = task - share
        if group['weight_decay']:
            task = task.add(parameter, alpha=group['weight_decay'])
        velocity = self._advance(parameter, 'momentum_buffer', task, group['momentum'] - delta)
        if share is None:
            return velocity
        return velocity + self._advance(parameter, 'distill_buffer', share, group['momentum'] + delta)

    def _advance(self, parameter: nn.Parameter, key: str, gradient: Tensor, momentum: float) -> Tensor:
        buffer = self.state[parameter].get(key)
        if buffer is None:
            self.state[parameter][key] = buffer = gradient.clone()
        else:
            buffer.mul_(momentum).add_(gradient)
        return buffer


@OPTIM_WRAPPERS.register_module()
class TwoMomentaOptimWrapper(OptimWrapper):
    """Tells the gradients of distillation from those of the task, at the cost of a second backward pass.

    It is for a :class:`TwoMomentaSGD` and a :class:`~shake_mm.engine.Distiller`, whose loss carries its summands. In a
    distributed run the gradients are averaged here, once, after both passes.

    Args:
        optimizer (TwoMomentaSGD): The optimizer.
        task (Sequence[str]): How the names under which losses of the task are logged begin. Defaults to those of the
            student's own loss and of a term called ``task``.
        **kwargs: See :class:`mmengine.optim.OptimWrapper`.

    Raises:
        UsageError: If the optimizer is another, or gradients are to be accumulated or clipped.
    """

    def __init__(self, optimizer: Any, task: Sequence[str] = ('student.', 'loss_task'), **kwargs: Any) -> None:
        super().__init__(optimizer, **kwargs)
        if not isinstance(optimizer, TwoMomentaSGD):
            raise UsageError(
                f'optim_wrapper: TwoMomentaOptimWrapper is for a shake_mm.TwoMomentaSGD, but the optimizer is a '
                f'{type(optimizer).__name__}: set optimizer=dict(type="shake_mm.TwoMomentaSGD", ...).'
            )
        if self._accumulative_counts != 1 or self.clip_grad_kwargs:
            raise UsageError(
                'optim_wrapper: TwoMomentaOptimWrapper neither accumulates nor clips gradients: leave '
                'accumulative_counts and clip_grad out.'
            )
        self.task = tuple(task)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Keep a distributed wrapper from averaging the gradients of one pass alone."""
        with unaveraged(model):
            yield

    def scale_loss(self, loss: Tensor) -> Tensor:
        """The loss itself, with its summands: nothing is accumulated."""
        return loss

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Put the sum of all gradients where they always are, and hand the share of distillation to the optimizer.

        Raises:
            UsageError: If the loss does not carry its summands.
        """
        summands = summands_of(loss, type(self).__name__)
        distilled = [value for name, value in summands.items() if not name.startswith(self.task)]
        task = [value for name, value in summands.items() if name.startswith(self.task)]
        parameters = [p for group in self.optimizer.param_groups for p in group['params'] if p.requires_grad]
        shares: tuple[Tensor | None, ...] = (None,) * len(parameters)
        if distilled:
            total = torch.stack(distilled).sum()
            shares = torch.autograd.grad(total, parameters, retain_graph=bool(task), allow_unused=True)
        if task:
            torch.stack(task).sum().backward(**kwargs)
        self.optimizer.undistilled = {p for p in parameters if p.grad is None}
        self.optimizer.distilled = {p: share for p, share in zip(parameters, shares) if share is not None}
        average([p.grad for p in parameters if p.grad is not None], [s for s in shares if s is not None])
        for parameter, share in self.optimizer.distilled.items():
            parameter.grad = share.clone() if parameter.grad is None else parameter.grad.add_(share)
        self._inner_count += 1
