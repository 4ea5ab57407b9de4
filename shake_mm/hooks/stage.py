"""Move a distiller from stage to stage."""

from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapperDict, _ParamScheduler
from mmengine.registry import PARAM_SCHEDULERS
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, IterBasedTrainLoop

from ..engine import Distiller
from ..engine.stages import Stage, added_epochs, begins_at, by_iteration, stage_at
from ..errors import UsageError
from ..members import names_in
from ..registry import HOOKS
from ..utils import unwrap_model
from .finite_guard import optimizers_of


@HOOKS.register_module()
class StageHook(Hook):
    """Enters the stage that each epoch belongs to, or each iteration, also after a resume.

    Where the set of trained parameters changes, the distributed wrapper is built anew: it fixes at construction which
    gradients it waits for, so ``find_unused_parameters`` can stay False. The optimizer holds all parameters from the
    start and skips those without gradient; where the stage says so, it begins as a new one would, without momentum.

    Stages that add epochs lengthen the run: its ``max_epochs``, its parameter schedulers and its later validations
    (``val_begin`` where it is not the first epoch, and ``dynamic_intervals``) are moved behind them before it begins.

    It also tells the model the epoch and the iteration, for terms whose weight warms up. In a training by iterations
    (``IterBasedTrainLoop``) stages and warm-ups have to count these, by ``by_epoch=False``.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._lengthened: BaseLoop | None = None
        self._counts_iterations = True  # whether anything changes within an epoch

    def before_run(self, runner: Any) -> None:
        """Lengthen the training by the epochs that stages add, before a checkpoint is resumed.

        Raises:
            UsageError: If stages or warm-ups count epochs in a training that never ends one.
        """
        loop = runner._train_loop
        if not isinstance(loop, BaseLoop):  # no training, but a validation or a test
            return
        model = unwrap_model(runner.model)
        check_units(model, loop)
        if added_epochs(model.stages) and loop is not self._lengthened:
            lengthen(runner, model.stages)
            self._lengthened = loop

    def before_train(self, runner: Any) -> None:
        """Match the classes of teachers by name, where that is asked."""
        model = unwrap_model(runner.model)
        if isinstance(model, Distiller):
            names = names_in(getattr(runner.train_dataloader.dataset, 'metainfo', None))
            model.members.fit_classes(names, 'train_dataloader.dataset', ())

    def before_train_epoch(self, runner: Any) -> None:
        """Enter the stage of the epoch that begins."""
        model = unwrap_model(runner.model)
        terms = (term for term in model.terms.values() if term.is_scheduled)
        self._counts_iterations = by_iteration(model.stages) or not all(term.by_epoch for term in terms)
        model.enter_epoch(runner.epoch)
        self._enter(runner, model)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Tell the model the iteration, and enter its stage, where either counts iterations."""
        if not self._counts_iterations:
            return
        model = unwrap_model(runner.model)
        model.enter_iteration(runner.iter)
        if by_iteration(model.stages):
            self._enter(runner, model)

    def _enter(self, runner: Any, model: Distiller) -> None:
        counts = by_iteration(model.stages)
        wrapped = is_model_wrapper(runner.model)
        if not model.enter_stage(stage_at(model.stages, runner.iter if counts else runner.epoch)):
            return
        index = model.stage_index or 0
        stage, first = model.stages[index], begins_at(model.stages, index)
        place = f'iteration {runner.iter}' if counts else f'epoch {runner.epoch}'
        runner.logger.info(f'Stage {stage.name} begins at {place}: {stage}')
        _forget_losses(runner.message_hub)
        begins = runner.iter == (first if counts else first * len(runner.train_dataloader))
        if stage.reset_optimizer and begins:  # not where a resumed run is in the midst of it
            for optimizer in optimizers_of(runner.optim_wrapper):
                optimizer.state.clear()
        if wrapped:
            # The old wrapper must be gone, with its gradient hooks, before the new one is built.
            runner.model = model
            runner.model = runner.wrap_model(runner.cfg.get('model_wrapper_cfg'), model)
            runner.model.train()


def check_units(model: Distiller, loop: BaseLoop) -> None:
    """Refuse stages and warm-ups that count epochs in a training that never ends one.

    Args:
        model (Distiller): The run's.
        loop (BaseLoop): Its loop of training.

    Raises:
        UsageError: Naming the stage or the term, and how it counts iterations.
    """
    if not isinstance(loop, IterBasedTrainLoop):
        return
    stages = [stage.name for stage in model.stages if stage.until is not None and stage.by_epoch]
    terms = [term for term in model.terms.values() if term.is_scheduled and term.by_epoch]
    counted = f'stages.{stages[0]}: `until`' if stages else ''
    if terms and not stages:
        term = terms[0]
        counted = f'terms.{term.name}: {"`warmup`" if term.warmup else type(term.paced[0]).__name__}'
    if counted:
        raise UsageError(
            f'{counted} counts epochs, but the training runs by iterations (train_cfg): give it in iterations, with '
            'by_epoch=False beside it.'
        )


def lengthen(runner: Any, stages: Sequence[Stage]) -> None:
    """Put the epochs that stages add before those of the training loop, and its schedules behind them.

    Args:
        runner (Runner): With its training loop, optimizers and schedulers built, and nothing resumed.
        stages (sequence of Stage): Those of its model.

    Raises:
        UsageError: If the loop does not count epochs as mmengine's does.
    """
    loop, added = runner._train_loop, added_epochs(stages)
    if not isinstance(loop, EpochBasedTrainLoop):
        name = next(stage.name for stage in stages if stage.adds_epochs)
        raise UsageError(f'stages.{name}: adds_epochs=True needs an EpochBasedTrainLoop: train_cfg has another.')
    length = len(loop.dataloader)
    loop._max_epochs += added
    loop._max_iters += added * length
    loop.val_begin += added if loop.val_begin > 1 else 0
    loop.dynamic_milestones = [epoch + added if epoch else 0 for epoch in loop.dynamic_milestones]

    several = isinstance(runner.optim_wrapper, OptimWrapperDict)
    wrappers = dict(runner.optim_wrapper.items()) if several else {'': runner.optim_wrapper}
    built = runner.param_schedulers or {}
    schedulers = built if isinstance(built, dict) else {'': built}
    moved = {}
    for name, wrapper in wrappers.items():
        own = schedulers.get(name, [])
        _postpone(own, added, length)
        moved[name] = [*_slow(stages, wrapper, length), *own]
    if any(moved.values()):
        runner.param_schedulers = moved if several else moved['']


def _postpone(schedulers: Sequence[_ParamScheduler], added: int, length: int) -> None:
    """Take back the step that schedulers have done where they were built, and let them begin ``added`` epochs later."""
    for scheduler in schedulers:
        key = scheduler.param_name
        for group in scheduler.optimizer.param_groups:
            group[key] = group[f'initial_{key}']
            if getattr(scheduler, 'use_betas', False):  # the momentum of Adam
                group['betas'] = (group[key], *group['betas'][1:])
        if scheduler.begin <= 0 and scheduler.last_step >= 0:
            scheduler.last_step -= 1
        shift = added if scheduler.by_epoch else added * length
        scheduler.begin += shift
        scheduler.end += shift


def _slow(stages: Sequence[Stage], wrapper: Any, length: int) -> list[_ParamScheduler]:
    """The schedulers of stages that have a learning rate of their own.

    They count iterations and come first, so that the rate is given back before any other scheduler begins. (``end`` is
    one more than the iterations: mmengine's ConstantLR gives the rate back in the last one before it.)
    """
    spans = [(stage, begins_at(stages, i) * length) for i, stage in enumerate(stages) if stage.lr_factor != 1]
    return [
        PARAM_SCHEDULERS.build(
            dict(
                type='ConstantLR',
                optimizer=wrapper,
                factor=stage.lr_factor,
                by_epoch=False,
                begin=begin,
                end=(stage.until or 0) * length + 1,
            )
        )
        for stage, begin in spans
    ]


def _forget_losses(hub: MessageHub) -> None:
    """Forget what the terms were: mmengine would log the last value of one that is no longer active for ever."""
    for key in [key for key in hub.log_scalars if key.startswith('train/') and 'loss' in key]:
        hub.log_scalars.pop(key)
