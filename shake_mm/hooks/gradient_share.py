"""Tell how much of the student's gradient each term makes, and warn where distillation works against its own task."""

import math
from collections.abc import Iterator
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.optim import ConstantParamScheduler, LinearParamScheduler, OptimWrapper

from ..engine import Distiller
from ..engine.gradient_shares import ShareMeter, Shares
from ..engine.terms import Term
from ..errors import UsageError
from ..registry import HOOKS
from ..utils import unwrap_model
from ..validation import check_number
from .finite_guard import wrappers_of

SHORTEST = 100
"""Iterations that an interval has at least by default: short epochs are taken together, to keep the price small."""
MARGIN = 0.1
"""How far, relatively, a loss must have risen to be told of."""
CONSIDERABLE = 0.25
"""Share of the divergences in the gradient from which a rising loss is put down to them.

Where two terms pull against each other and neither wins, each has half.
"""
PREFIX = 'train/share/'


@HOOKS.register_module()
class GradientShareHook(Hook):
    """Measures in one step of every interval which share of the gradient each term makes at the student's trunk.

    The shares are logged as ``share/TERM``, see :class:`~shake_mm.engine.gradient_shares.ShareMeter`. Everything else
    stays as it is, to the bit: weights, statistics of normalization, generators, and what processes exchange, as the
    extra backward passes end at the trunk's output. In a distributed run each process measures its own part of the
    batch, and the first one's is logged. The measured step costs a backward pass of the heads for each term, and the
    memory of their gradients.

    One warning a run names a term, its share and the key that weighs it, where

    - all divergences together have more than ``max_share`` of the gradient, or
    - a loss of the student's own (a detector's boxes, say) has, over two intervals, been a tenth above its mean in the
      interval in which the warm-up ended, while a divergence fell, and the divergences have made a quarter of the
      gradient or more in the measurements so far. A rise alone is no sign: a RoI head's losses rise as the proposals
      become better.

    No other run is needed for it. Stages in which the student does not learn from its own losses are only measured.

    Args:
        interval (int, optional): Iterations between two measurements. Defaults to an epoch, or as many as have 100
            iterations.
        max_share (float): Between 0 and 1. Defaults to 0.99, which hardly a run that goes well reaches: a classifier
            that knows its training set has little gradient of its own left. A smaller bound tells nothing: of small
            Faster R-CNNs, those whose divergences made 61 and 69 % of the gradient ended 5 and 6 points of AP above the
            plain one, where boxes were weighed, and those with 55 and 66 % 4 and 12 below, where they were not
            (docs/evidence_detectors.md).

    Raises:
        UsageError: If ``interval`` is less than 1 or ``max_share`` is no share.
    """

    priority = 'NORMAL'  # before the logger

    def __init__(self, interval: int | None = None, max_share: float = 0.99) -> None:
        check_number('GradientShareHook: max_share', max_share)
        if interval is not None and not (isinstance(interval, int) and interval >= 1):
            raise UsageError(f'GradientShareHook: interval={interval!r} must be a number of iterations, 1 or more.')
        if max_share > 1:
            raise UsageError(f'GradientShareHook: max_share={max_share} is a share: give a number up to 1.')
        self.interval, self.max_share = interval, max_share
        self._every = interval or SHORTEST
        self._meter: ShareMeter | None = None
        self._stage: int | None = None
        self._off = self._warned = False

    def before_train(self, runner: Any) -> None:
        """Find out how long an interval is."""
        length = len(runner.train_dataloader)
        self._every = self.interval or length * math.ceil(SHORTEST / max(length, 1))
        self._off = not isinstance(unwrap_model(runner.model), Distiller)
        self._stage = None

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Open the meter for the step that is measured."""
        model = unwrap_model(runner.model)
        if self._off or model.plan is None:
            return
        if model.stage_index != self._stage:  # its terms are others
            self._stage = model.stage_index
            _forget(runner.message_hub)
        if self.every_n_train_iters(runner, self._every):
            try:
                self._meter = ShareMeter(model, scale=_scale_of(runner.optim_wrapper))
            except UsageError as error:
                self._stop(runner, error)

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Log what was measured, and judge it."""
        if self._meter is None:
            return
        meter, self._meter = self._meter, None
        meter.close()
        if meter.error is not None:
            self._stop(runner, meter.error)
        for found in meter.found:
            for name, share in found.shares.items():
                runner.message_hub.update_scalar(f'{PREFIX}{name}', share)
            model = unwrap_model(runner.model)
            if not self._warned and (sentence := self._judged(runner, model, found)):
                self._warned = True
                runner.logger.warning(f'{sentence}, {knob(model, self._largest(model, found))}.')

    def after_train(self, runner: Any) -> None:
        """Close the meter where a step failed."""
        if self._meter is not None:
            self._meter.close()
            self._meter = None

    def _stop(self, runner: Any, error: Exception) -> None:
        self._off = True
        runner.logger.info(f'GradientShareHook measures nothing: {" ".join(str(error).split())}')

    def _judged(self, runner: Any, model: Distiller, found: Shares) -> str:
        """What is to be warned of, as a sentence without its end; empty if nothing is."""
        terms = [model.terms[name] for name in found.norms]
        divergences = sum(found.shares[term.name] for term in terms if term.loss is not None)
        if not any(is_own(term) for term in terms) or divergences == 0:
            return ''
        largest = self._largest(model, found)
        made = f'terms.{largest.name} makes {100 * found.shares[largest.name]:.1f} % of the gradient at {found.place}'
        if divergences > self.max_share:
            return (
                f"{made} and leaves the student's own losses {100 * (1 - divergences):.2g} % "
                f'(max_share={self.max_share:g} of GradientShareHook): if the student gets worse by it'
            )
        so_far = sum(_mean(runner.message_hub, term.name) for term in terms if term.loss is not None)
        risen = self._risen(runner, terms) if so_far >= CONSIDERABLE else None
        if risen is None:
            return ''
        name, before, now = risen
        return (
            f'{name} has risen from {before:.3g} at the end of the warm-up to {now:.3g} while a divergence fell, and '
            f'{made}: if the student gets worse by it'
        )

    def _risen(self, runner: Any, terms: list[Term]) -> tuple[str, float, float] | None:
        """The own loss that rose most while a divergence fell: its name, what it was, and what it is."""
        warm = max([warmup_of(runner), *(term_warmup(term, len(runner.train_dataloader)) for term in terms)])
        begin = max(math.ceil(warm / self._every), 1)
        means = {key: _means(buffer.data[0], self._every) for key, buffer in _losses(runner.message_hub)}
        means = {key: values for key, values in means.items() if len(values) > begin + 1}
        fell = any(
            not is_own(term) and term.makes(key) and values[-1] < values[begin - 1]
            for term in terms
            for key, values in means.items()
        )
        rises = [
            (min(values[-2:]) / values[begin - 1], key, values[begin - 1], values[-1])
            for key, values in means.items()
            if values[begin - 1] > 0 and any(is_own(term) and term.makes(key) for term in terms)
        ]
        rise, name, before, now = max(rises, default=(0.0, '', 0.0, 0.0))
        return (name, before, now) if fell and rise > 1 + MARGIN else None

    def _largest(self, model: Distiller, found: Shares) -> Term:
        learned = [name for name in found.norms if model.terms[name].loss is not None]
        return model.terms[max(learned, key=lambda name: found.norms[name])]


def is_own(term: Term) -> bool:
    """Whether a term is the student's own losses."""
    return term.loss is None and term.of == 'student'


def knob(model: Distiller, term: Term) -> str:
    """The keys of the config that weigh a term, as part of a sentence."""
    origin = model.objective.origins[term.name]
    keys = [*([f'model.{name}'] if (name := model.knobs.get(origin)) else []), f'model.terms.{origin}.weight']
    return f'lower {" or ".join(keys)} (its weight is {term.weight:g})'


def warmup_of(runner: Any) -> int:
    """The iteration in which the learning rate has reached its height."""
    schedulers = runner.param_schedulers or []
    listed = [each for own in schedulers.values() for each in own] if isinstance(schedulers, dict) else schedulers
    kinds = (LinearParamScheduler, ConstantParamScheduler)
    ends = [
        scheduler.end * (len(runner.train_dataloader) if scheduler.by_epoch else 1)
        for scheduler in listed
        if isinstance(scheduler, kinds) and scheduler.begin <= 0 and scheduler.end < 10**9
    ]
    return max(ends, default=0)


def term_warmup(term: Term, length: int) -> int:
    """The iteration in which a term has reached its weight, with epochs of a length."""
    return term.warmup * (length if term.by_epoch else 1)


def _losses(hub: MessageHub) -> Iterator[tuple[str, Any]]:
    """The histories of the losses of training steps since the stage began, by name."""
    for key, buffer in hub.log_scalars.items():
        if key.startswith('train/') and 'loss' in key and not key.startswith(PREFIX):
            yield key.removeprefix('train/'), buffer


def _mean(hub: MessageHub, term: str) -> float:
    """The mean of a term's shares since the stage began."""
    return float(hub.get_scalar(f'{PREFIX}{term}').mean())


def _means(values: Any, every: int) -> list[float]:
    """Means over whole intervals, the first one first."""
    whole = len(values) // every
    return values[: whole * every].reshape(whole, every).mean(axis=1).tolist()


def _forget(hub: MessageHub) -> None:
    for key in [key for key in hub.log_scalars if key.startswith(PREFIX)]:
        hub.log_scalars.pop(key)


def _scale_of(wrapper: OptimWrapper) -> float:
    """The factor by which the losses of a run in half precision are scaled."""
    scalers = (getattr(each, 'loss_scaler', None) for each in wrappers_of(wrapper))
    return max((float(scaler.get_scale()) for scaler in scalers if scaler is not None), default=1.0)
