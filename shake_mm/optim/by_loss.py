"""Optimizers that learn by some of the losses each, one step after the other (AFD; Chung et al., ICML 2020)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.optim import AmpOptimWrapper, OptimWrapper, OptimWrapperDict, build_optim_wrapper
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import OPTIM_WRAPPER_CONSTRUCTORS
from .parts import average, summands_of, unaveraged

Gradients = dict[nn.Parameter, Tensor]


class OptimWrapperByLoss(OptimWrapperDict):
    """Several optimizers of the same weights, each of which makes a step of its own by some of the losses.

    The networks run once. All gradients are those at the weights that they ran with, and the optimizers step one after
    the other, each by the gradients of its losses alone: what it clips, decays and remembers is its own. In a
    distributed run the gradients are averaged here, once.

    Args:
        losses (dict[str, Sequence[str]]): By optimizer, how the names under which its losses are logged begin; the one
            of an empty sequence takes what is nobody else's.
        **wrappers: The optimizers' wrappers by the same names.
    """

    def __init__(self, losses: Mapping[str, Sequence[str]], **wrappers: OptimWrapper) -> None:
        super().__init__(**wrappers)
        self.losses = {name: tuple(losses[name]) for name in wrappers}
        self.before_steps: list[Callable[[list[Tensor]], None]] = []  # each is shown all gradients before any step

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Keep a distributed wrapper from averaging the gradients of one optimizer alone."""
        with unaveraged(model):
            yield

    def update_params(self, loss: Tensor, step_kwargs: dict | None = None, zero_kwargs: dict | None = None) -> None:
        """Make a step of each optimizer.

        Args:
            loss (Tensor): The sum of all losses, of a distiller.
            step_kwargs (dict, optional): For each optimizer's ``step``.
            zero_kwargs (dict, optional): For each optimizer's ``zero_grad``.

        Raises:
            UsageError: If the loss does not carry its summands.
        """
        found = self._gradients(loss)
        for look in self.before_steps:
            look([gradient for gradients in found for gradient in gradients.values()])
        for wrapper, gradients in zip(self.values(), found):
            for parameter, gradient in gradients.items():
                parameter.grad = gradient
            wrapper.step(**(step_kwargs or {}))
            wrapper.zero_grad(**(zero_kwargs or {}))

    def _gradients(self, loss: Tensor) -> list[Gradients]:
        """Of each optimizer's parameters by its losses, before any step."""
        totals = self._totals(summands_of(loss, type(self).__name__))
        last = max((i for i, total in enumerate(totals) if total is not None), default=0)
        found: list[Gradients] = []
        for i, (wrapper, total) in enumerate(zip(self.values(), totals)):
            groups = wrapper.optimizer.param_groups
            parameters = [p for group in groups for p in group['params'] if p.requires_grad]
            made: Sequence[Tensor | None] = ()
            if total is not None:
                made = torch.autograd.grad(total, parameters, retain_graph=i != last, allow_unused=True)
            found.append({p: gradient for p, gradient in zip(parameters, made) if gradient is not None})
        average(*(list(gradients.values()) for gradients in found))
        return found

    def _totals(self, summands: Mapping[str, Tensor]) -> list[Tensor | None]:
        """The sum of each optimizer's losses, None where a stage has none that learns."""
        others = tuple(name for names in self.losses.values() for name in names)
        totals: list[Tensor | None] = []
        for names in self.losses.values():
            mine = [
                x for key, x in summands.items() if (key.startswith(names) if names else not key.startswith(others))
            ]
            total = torch.stack(mine).sum() if mine else None
            totals.append(total if total is not None and total.requires_grad else None)
        return totals


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class OptimizersByLoss:
    """Builds several optimizers of all weights, each of which learns by some of the losses (two updates of a batch).

    It is the ``constructor`` of an ``optim_wrapper`` that gives each of them under a name of its own.

    Args:
        optim_wrapper_cfg (dict): By name, an ``optim_wrapper`` as mmengine's, and in it ``losses``, how the names under
            which its losses are logged begin. One has none, and takes what is nobody else's.
        paramwise_cfg (dict, optional): For those that have none of their own.

    Raises:
        UsageError: If there are not several of which one takes the rest, or one accumulates or scales gradients.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        self.configs = {name: config for name, config in optim_wrapper_cfg.items() if isinstance(config, Mapping)}
        self.paramwise = paramwise_cfg
        rest = [name for name, config in self.configs.items() if not config.get('losses')]
        if len(self.configs) < 2 or len(rest) != 1 or len(self.configs) != len(optim_wrapper_cfg):
            raise UsageError(
                'optim_wrapper: OptimizersByLoss needs two dicts or more, each with an optimizer, and all but one of '
                "them with losses: main=dict(optimizer=...), other=dict(optimizer=..., losses=['loss_hint'])."
            )

    def __call__(self, model: nn.Module) -> OptimWrapperByLoss:
        """Build them.

        Args:
            model (nn.Module): A distiller, or what shows its parts.

        Raises:
            UsageError: If no term of it makes the losses of an optimizer.
        """
        wrappers, losses = {}, {}
        for name, config in self.configs.items():
            losses[name] = config.get('losses') or ()
            _check_names(name, losses[name], getattr(model, 'module', model))
            own = {'paramwise_cfg': self.paramwise, **{k: value for k, value in config.items() if k != 'losses'}}
            wrapper = build_optim_wrapper(model, own)
            if isinstance(wrapper, AmpOptimWrapper) or getattr(wrapper, '_accumulative_counts', 1) != 1:
                raise UsageError(
                    f'optim_wrapper.{name}: OptimizersByLoss neither accumulates gradients nor scales them for mixed '
                    'precision: leave accumulative_counts out, and type=AmpOptimWrapper.'
                )
            wrappers[name] = wrapper
        return OptimWrapperByLoss(losses, **wrappers)


def _check_names(name: str, losses: Any, model: nn.Module) -> None:
    """Refuse losses that no term makes: their optimizer would never step."""
    terms = getattr(model, 'terms', {})
    known = [f'{term.of}.' if term.loss is None else f'loss_{term.name}' for term in terms.values()]
    if isinstance(losses, str) or not all(isinstance(loss, str) for loss in losses):
        raise UsageError(f"optim_wrapper.{name}.losses is {losses!r}, but it must list names: ['loss_hint'].")
    for loss in losses:
        if not any(made.startswith(loss) or loss.startswith(made) for made in known):
            raise UsageError(
                f"optim_wrapper.{name}.losses: no term makes a loss called '{loss}': name one of {', '.join(known)}."
            )
