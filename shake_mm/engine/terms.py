"""Terms: the summands of an objective, each a loss between two taps, logged under its own name."""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor, nn

from ..errors import UsageError
from ..losses.pair import in_full_precision
from ..registry import asks_for, build_part
from ..taps import Taps, listed
from ..validation import check_number
from .dry_run import facts_of, try_out, unknown_field

Losses = dict[str, Tensor]

RAMPS: dict[str, Callable[[int, int], float]] = {
    'linear': lambda count, warmup: min((count + 1) / warmup, 1.0),
    'sigmoid': lambda count, warmup: math.exp(-5 * (1 - min(count / warmup, 1.0)) ** 2),
}
"""How a weight rises: its share of the full one, by what has passed before and the length of the warm-up."""


class Term(BaseModule):
    r"""One summand of the objective.

    With a ``loss``, the term is ``weight * loss(of, sg(to))``: gradient flows into the tap ``of``, the tap ``to`` is
    a target and is detached. Without ``to`` it is ``weight * loss(of, label)``, for members that learn from the labels
    by a loss of their own (a proxy with ground truth). Both are evaluated in float32 at least, also under autocast.
    Without a ``loss`` it is ``weight`` times the losses that the member ``of`` computes for itself from the labels (a
    classifier's cross-entropy, a detector's whole dict).

    Further arguments of a loss's ``forward`` are facts of the batch by name: ``gt_labels``, ``label`` (as mmpretrain's
    losses want it: the class, or the mixed classes' scores), any field of its samples, or ``data_samples`` themselves.

    Args:
        name (str): Under this name, as ``loss_{name}``, the weighted value is logged.
        of (str | list[str]): Tap that learns (with ``loss``), or member (without). Several taps are handed on as a
            list.
        to (str | list[str], optional): Tap that is the target.
        loss (dict | nn.Module, optional): A registered loss, called as ``loss(of, to)``, or ``loss(of)``.
        weight (float): Factor. Defaults to 1.
        warmup (int): Epochs, or iterations, over which the weight rises to its value. Defaults to 0.
        connector (dict | nn.Module, optional): A registered module applied to ``of`` first, trained with the student.
        to_connector (dict | nn.Module, optional): One applied to the detached ``to``, likewise trained.
        reference (str, optional): Tap from which a loss that takes a ``reference`` weighs positions (a detector's
            teacher, whose confidence tells objects from background); the others ignore it. Detached.
        by_epoch (bool): Whether ``warmup``, and a part that changes with the epochs, count those. A training by
            iterations has none, and needs False. Defaults to True.
        ramp (str): How the weight rises: ``'linear'``, or ``'sigmoid'`` for :math:`e^{-5 (1 - t / w)^2}` where t of w
            epochs have passed (Laine and Aila, 2017). Defaults to ``'linear'``.

    Raises:
        UsageError: If ``weight`` is negative, ``to`` is given without a ``loss``, or ``ramp`` is unknown or without a
            ``warmup``.
    """

    def __init__(
        self,
        name: str,
        of: str | list[str],
        to: str | list[str] | None = None,
        loss: dict | nn.Module | None = None,
        weight: float = 1.0,
        warmup: int = 0,
        connector: dict | nn.Module | None = None,
        to_connector: dict | nn.Module | None = None,
        reference: str | None = None,
        by_epoch: bool = True,
        ramp: str = 'linear',
    ) -> None:
        super().__init__()
        check_number(f'terms.{name}.weight', weight)
        check_number(f'terms.{name}.warmup', warmup)
        _check_ramp(name, ramp, warmup)
        if loss is None and to is not None:
            raise UsageError(f"terms.{name}: give a 'loss' too, or neither it nor 'to' for the own loss of '{of}'.")
        self.name, self.of, self.to, self.weight, self.warmup = name, of, to, weight, warmup
        self.by_epoch, self.ramp = by_epoch, ramp
        self.loss, self.connector, self.to_connector = (build_part(part) for part in (loss, connector, to_connector))
        self.fields = () if self.loss is None else fields_of(self.loss, 1 if to is None else 2)
        if to is None and not {'target', 'teacher'}.isdisjoint(self.fields):
            raise UsageError(
                f'terms.{name}: {type(self.loss).__name__} compares two taps, and there is only {of}: give `to` too.'
            )
        self.paced = [part for part in self.modules() if part is not self and hasattr(part, 'enter_epoch')]
        self.factor = None if self.is_scheduled else 1.0  # StageHook sets it
        self.reference = reference if self.loss is not None and takes_reference(self.loss) else None

    @property
    def is_scheduled(self) -> bool:
        """Whether the term changes with time: its weight warms up, or a part of it has an ``enter_epoch``."""
        return bool(self.warmup or self.paced)

    def enter(self, count: int, by_epoch: bool) -> None:
        """Set what changes with time.

        Args:
            count (int): The epoch or iteration that begins, counted from 0.
            by_epoch (bool): Which of them; nothing happens if the term counts the other.
        """
        if self.is_scheduled and by_epoch != self.by_epoch:
            return
        self.factor = RAMPS[self.ramp](count, self.warmup) if self.warmup else 1.0
        for part in self.paced:
            part.enter_epoch(count)

    @property
    def taps(self) -> tuple[str, ...]:
        """The taps that must be recorded for this term."""
        taps: tuple[str | list[str], ...] = (self.of, self.to or [], self.reference or [])
        return () if self.loss is None else tuple(tap for side in taps for tap in listed(side))

    def makes(self, key: str) -> bool:
        """Whether a name in the losses of a step is one of this term's."""
        return key.startswith(f'{self.of}.') if self.loss is None else key == f'loss_{self.name}'

    def forward(self, taps: Taps, own: Mapping[str, Losses], field: Callable[[str], Tensor]) -> Losses:
        """Evaluate the term.

        Args:
            taps (Taps): The recorded taps of this step.
            own (dict): The members' own losses, by member.
            field (callable): Facts of the batch by name, e.g. ``field('gt_labels')``.

        Returns:
            dict[str, Tensor]: Scalars by log name.
        """
        if self.factor is None:
            what = 'a warm-up' if self.warmup else f'{type(self.paced[0]).__name__}, which changes with the epochs,'
            raise UsageError(f"terms.{self.name}: {what} needs dict(type='shake_mm.StageHook') in `custom_hooks`.")
        weight = self.weight * self.factor
        if self.loss is None:
            return {f'{self.of}.{key}': value for key, value in _scaled(own[str(self.of)], weight).items()}
        learner = taps.value(self.of)
        compared = [learner if self.connector is None else self.connector(learner)]
        if self.to is not None:
            target = _detached(taps.value(self.to))
            compared.append(target if self.to_connector is None else self.to_connector(target))
        extra = {} if self.reference is None else {'reference': _detached(taps.value(self.reference))}
        value = in_full_precision(self.loss, *compared, *map(field, self.fields), **extra)
        return {f'loss_{self.name}': weight * value}


def build_term(
    name: str,
    config: dict,
    taps: Taps,
    num_samples: int | None,
    part_behind: Callable[[str, str], nn.Module | None] = lambda fact, tap: None,
) -> Term:
    """Build a term whose connectors and loss fit the shapes of its taps, and try them out.

    Args:
        name (str): The term's.
        config (dict): Arguments of :class:`Term`.
        taps (Taps): Holding what the dry run recorded.
        num_samples (int, optional): Size of the training set.
        part_behind (callable): Finds what parts ask for by these names: ``in_norm``, the batch norm that a tap comes
            from, ``classifier``, that of its network, or ``own_loss``, what that learned by.

    Raises:
        UsageError: If a part cannot be built, or does not take what it is to read.
    """
    if config.get('loss') is None:
        return Term(name, **config)

    def build(key: str, learner: Any, target: Any) -> nn.Module:
        facts = facts_of(learner, target, num_samples)
        for fact in ('in_norm', 'classifier', 'own_loss'):
            if asks_for(config[key], fact):
                facts[fact] = part_behind(fact, config['to' if key == 'to_connector' else 'of'])
        return build_part(config[key], facts, f'terms.{name}.{key}')

    learner, target = taps.value(config['of']), taps.value(config.get('to') or [])
    parts: dict[str, nn.Module] = {}
    if config.get('to_connector') is not None:
        parts['to_connector'] = build('to_connector', target, None)
        target = try_out(f'terms.{name}.to_connector', parts['to_connector'], target)
    if config.get('connector') is not None:
        parts['connector'] = build('connector', learner, target)
        learner = try_out(f'terms.{name}.connector', parts['connector'], learner)
    parts['loss'] = build('loss', learner, target)
    term = Term(name, **{**config, **parts})
    compared = (learner,) if term.to is None else (learner, target)
    weighing = {} if term.reference is None else {'reference': taps.value(term.reference)}
    try_out(f'terms.{name}', term.loss, *compared, *map(unknown_field, term.fields), **weighing)
    return term


TERM_ARGUMENTS = tuple(inspect.signature(Term).parameters)[1:]
"""The keys of a term's config, without its name."""


def fields_of(loss: nn.Module, features: int = 2) -> tuple[str, ...]:
    """Names of the facts of a batch that a loss asks for.

    They are what it states as its ``fields``, or what its ``forward`` requires beyond the features.
    """
    if isinstance(stated := getattr(loss, 'fields', None), tuple):
        return stated
    parameters = list(inspect.signature(loss.forward).parameters.values())[features:]
    return tuple(p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD)


def takes_reference(loss: nn.Module) -> bool:
    """Whether a loss weighs positions by a third tap."""
    return 'reference' in inspect.signature(loss.forward).parameters


def _check_ramp(name: str, ramp: str, warmup: int) -> None:
    """Refuse a rise that is unknown, or of nothing."""
    if not isinstance(ramp, str) or ramp not in RAMPS:
        raise UsageError(f'terms.{name}: ramp={ramp!r}, but it must be one of {", ".join(RAMPS)}.')
    if ramp != 'linear' and not warmup:
        raise UsageError(f"terms.{name}: ramp='{ramp}' says how a warm-up rises: give `warmup`, its length, too.")


def _detached(value: Any) -> Any:
    return [_detached(item) for item in value] if isinstance(value, list) else value.detach()


def _scaled(losses: Losses, weight: float) -> Losses:
    """Weigh what counts towards the objective; other entries (accuracies) are logged as they are."""

    def scale(value: Any) -> Any:
        return [weight * item for item in value] if isinstance(value, (list, tuple)) else weight * value

    return {key: scale(value) if 'loss' in key else value for key, value in losses.items()}
