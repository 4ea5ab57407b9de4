"""Images a second: of data pipelines alone, and of whole runs beside their bare training step."""

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch import nn

from benchmarks.step_time import Spread
from benchmarks.training import make_optimizer, quiet
from shake_mm import switches
from shake_mm.registry import MODELS

Clock = Callable[[], float]


def pipelines(cfg: Config, rounds: int, clock: Clock, batches: int = 50) -> dict[str, Spread]:
    """Images a second that come out of the model's data preprocessor, in one process, in turns.

    Args:
        cfg (Config): A config whose pipeline ``--batched`` knows. Its data set is in the order that its sampler has.
        rounds (int): How often both take their turn.
        clock (callable): Seconds.
        batches (int): Batches a turn. Defaults to 50.

    Returns:
        dict[str, Spread]: ``'images'`` for the config's own pipeline, ``'batched'`` for :class:`BatchedViews`, and
        ``'batched/images'``, their ratio within a round.
    """
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        preprocessor = MODELS.build({'type': 'mmpretrain.ClsDataPreprocessor', **cfg.data_preprocessor})
        loaders = {}
        for name in ('images', 'batched'):
            own = copy.deepcopy(cfg)
            if name == 'batched':
                switches.make_batched(own)
            own.train_dataloader.update(num_workers=0, persistent_workers=False)
            loaders[name] = Runner.build_dataloader(own.train_dataloader, seed=0)
    feeds = {name: _endless(loader) for name, loader in loaders.items()}
    speeds: dict[str, list[float]] = {name: [] for name in (*feeds, 'batched/images')}
    for turn in range(rounds + 1):
        for name, feed in feeds.items():
            start, number = clock(), 0
            for _ in range(batches):
                number += len(preprocessor(next(feed), True)['inputs'])
            if turn:  # the first one warms up
                speeds[name].append(number / (clock() - start))
        if turn:
            speeds['batched/images'].append(speeds['batched'][-1] / speeds['images'][-1])
    return {name: Spread.of(values) for name, values in speeds.items()}


def _endless(loader: Any) -> Iterator[Any]:
    while True:
        yield from loader


class _Beside(Hook):
    """After every epoch of a run, takes as many bare steps of a copy of the model, always on the same batch."""

    priority = 'LOWEST'

    def __init__(self, clock: Clock) -> None:
        self.clock, self.images = clock, 0
        self.seconds: dict[str, list[float]] = {'run': [], 'bare': []}
        self._batch: Any = None
        self._wrapper: Any = None
        self._twin: nn.Module | None = None

    def before_train_epoch(self, runner: Any) -> None:
        """Start the clock and the count of images."""
        self._start, self.images = self.clock(), 0

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Count the images, and keep the first batch."""
        self.images += len(data_batch['inputs'])
        if self._batch is None:
            self._batch = copy.copy(data_batch)

    def after_train_epoch(self, runner: Any) -> None:
        """Stop the clock, then take as many bare steps."""
        self.seconds['run'].append((self.clock() - self._start) / self.images)
        if self._twin is None:
            self._twin = copy.deepcopy(runner.model).train()
            self._wrapper = type(runner.optim_wrapper)(make_optimizer(self._twin))
        steps = len(runner.train_dataloader)
        start = self.clock()
        for _ in range(steps):
            self._twin.train_step(self._batch, self._wrapper)
        self.seconds['bare'].append((self.clock() - start) / (steps * len(self._batch['inputs'])))


def whole_run(cfg: Config, epochs: int, clock: Clock) -> dict[str, Spread]:
    """Images a second of a run, with data, hooks and logging but no validation, beside its bare training step.

    Args:
        cfg (Config): The run's.
        epochs (int): How many to measure, after one that warms up.
        clock (callable): Seconds.

    Returns:
        dict[str, Spread]: ``'run'``, ``'bare'``, and ``'run/bare'``, their ratio within an epoch.
    """
    cfg = copy.deepcopy(cfg)
    cfg.train_cfg.update(max_epochs=epochs + 1, val_interval=epochs + 2)
    stages = cfg.model.get('stages') or {}
    for stage in stages.values() if isinstance(stages, dict) else stages:  # no epochs but these, of the first stage
        stage.update(adds_epochs=False, lr_factor=1.0)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.default_hooks.checkpoint = None
    cfg.custom_hooks = [h for h in cfg.get('custom_hooks', ()) if h['type'] != 'shake_mm.MemberEvalHook']
    beside = _Beside(clock)
    with _silent(cfg):
        runner = Runner.from_cfg(cfg)
        runner.register_hook(beside)
        runner.train()
    speeds = {name: [1 / value for value in values[1:]] for name, values in beside.seconds.items()}
    speeds['run/bare'] = [run / bare for run, bare in zip(speeds['run'], speeds['bare'])]
    return {name: Spread.of(values) for name, values in speeds.items()}


@contextmanager
def _silent(cfg: Config) -> Iterator[None]:
    cfg.log_level = 'WARNING'
    with quiet():
        yield


CLOCKS: dict[str, Clock] = {'wall': time.perf_counter, 'cpu': time.process_time}
