"""Builds a runner whose data and weights were checked, and which overwrites nothing before it can begin."""

import sys
from collections.abc import Mapping
from contextlib import nullcontext
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from torch.nn.parallel import DistributedDataParallel

from ..engine import Distiller
from ..engine.optimizers import build_student_optimizer
from ..errors import UsageError
from ..hooks import (
    AuditHook,
    DryRunHook,
    MemberEvalHook,
    ReadGuardHook,
    ResumeGuardHook,
    StageHook,
    SummaryHook,
    TrackerHook,
)
from ..hooks.stage import check_units
from ..imports import when_imported
from ..members import names_in
from ..outputs import write_config
from ..utils import garbage_is_new, unwrap_model
from .config import check_config
from .data import building, check_data
from .metrics import check_metrics
from .networks import check_ends
from .overlap import warn_of_overlap
from .ranks import check_ranks
from .resume import check_last, check_resume
from .views import fit_views
from .weights import Start, StartWeightsHook, check_start, read_start
from .work_dir import check_work_dir, config_copy, is_read

_RUNS = count()
"""Of this process."""


class _DumpConfigHook(Hook):
    """Writes the run's config into the work directory when everything is built."""

    priority = 'VERY_LOW'

    def before_train(self, runner: Runner) -> None:
        self._dump(runner)

    def before_test(self, runner: Runner) -> None:
        self._dump(runner)

    @master_only
    def _dump(self, runner: Runner) -> None:
        path = config_copy(runner.cfg, runner.timestamp)
        if not is_read(path, runner.cfg):
            write_config(runner.cfg, path)


def build_runner(cfg: Config, mode: str, built: Mapping[str, Any] | None = None) -> Runner:
    """Build the runner of a config.

    mmengine writes the config into the work directory, over that of an earlier run, before it has seen data and
    weights. Here it is written only when the run begins.

    Args:
        cfg (Config): The config, with the command line merged.
        mode (str): What the runner is for, ``'train'`` or ``'test'``.
        built (dict, optional): Parts that are there already, a model or data loaders, by their keys in the config,
            which describes them.

    Raises:
        UsageError: If the run could not begin; the message names the key or file, and how to fix it.
    """
    check_config(cfg, mode)
    check_work_dir(cfg, mode)
    if mode == 'train':
        check_last(cfg)
    start = read_start(cfg, mode)
    dump, Runner.dump_config = Runner.dump_config, lambda self: None
    read_coco_safely()
    try:
        runner = _runner_of(cfg, built or {})
    finally:
        Runner.dump_config = dump
    check_ranks(cfg)
    runner.register_hook(_DumpConfigHook())
    guard = next((hook for hook in runner.hooks if isinstance(hook, ReadGuardHook)), None)
    if guard is None:
        runner.register_hook(guard := ReadGuardHook())
    model = unwrap_model(runner.model)
    _check_hooks(runner, model)
    if isinstance(model, Distiller):
        _prepare(runner, model, cfg, mode)
    if start is not None:
        check_start(model, start)
        if start.where == 'resume':
            check_resume(model, cfg, start.source, start.loaded)
        else:
            runner.register_hook(StartWeightsHook(model, start))
    _check_loops(runner, model, cfg, mode, guard)
    if mode == 'train':
        if isinstance(model, Distiller):
            check_units(model, runner.train_loop)
        check_metrics(runner, model)
        if runner.val_loop is not None:
            warn_of_overlap(runner.train_dataloader.dataset, runner.val_dataloader.dataset)
        _guard_resume(runner, start)
    return runner


def _check_loops(runner: Runner, model: Any, cfg: Config, mode: str, guard: ReadGuardHook) -> None:
    """Build the loops of a run, and check their data."""
    for name in ('train', 'val') if mode == 'train' else ('test',):
        if cfg.get(f'{name}_dataloader') is not None:
            key = f'{name}_dataloader'
            config = cfg[key].get('dataset')
            with building(key, config), garbage_is_new():
                loop: Any = getattr(runner, f'{name}_loop')
            if name == 'train':
                check_ends(loop)
            if isinstance(model, Distiller) and name != 'val':
                names = names_in(getattr(loop.dataloader.dataset, 'metainfo', None))
                model.members.fit_classes(names, f'{key}.dataset', model.objective.compared)
            with guard.skipping(loop.dataloader.dataset) if name == 'train' else nullcontext():
                check_data(loop.dataloader, key, config, model)


def _runner_of(cfg: Config, built: Mapping[str, Any]) -> Runner:
    """The runner of a config that only describes some of its parts, as it is copied and written.

    mmengine finds the log, the history and the pictures of a run by its name, which ends with the second of its start:
    a run would write into the log of another of the same process and second. So all but the first are numbered.
    """
    if 'runner_type' in cfg:
        return RUNNERS.build(cfg)
    number = next(_RUNS)
    name = cfg.get('experiment_name') or (Path(cfg.filename).stem if cfg.filename else 'run')
    own = {'experiment_name': f'{name}_{number}'} if number else {}
    return Runner.from_cfg.__func__(lambda **parts: Runner(**{**parts, **own, **built}), cfg)


@cache
def read_coco_safely() -> None:
    """Let mmdet read annotations by our reader, as soon as the config has it imported."""

    def replace() -> None:
        from .annotations import CheckedCOCO  # mmdet's reader is its base

        sys.modules['mmdet.datasets.coco'].CocoDataset.COCOAPI = CheckedCOCO

    when_imported('mmdet.datasets.coco', replace)


def _guard_resume(runner: Runner, start: Start | None) -> None:
    """Let checkpoints say what the run is made of, and compare with the one that it goes on from, before it begins."""
    guard = next((hook for hook in runner.hooks if isinstance(hook, ResumeGuardHook)), None)
    if guard is None:
        runner.register_hook(guard := ResumeGuardHook())
    hub = start.loaded.get('message_hub') if start is not None and start.where == 'resume' else None
    info = hub.get('runtime_info') if isinstance(hub, dict) else None
    if isinstance(info, dict):
        guard.compare(runner, info)


def _prepare(runner: Runner, model: Distiller, cfg: Config, mode: str) -> None:
    """What a distillation has beside a plain run: views of teachers, an audit, names that optimizers do not know."""
    fit_views(cfg, model, [f'{name}_dataloader' for name in (('train', 'val') if mode == 'train' else ('test',))])
    if mode != 'train':
        return
    _check_epochs(runner, model)
    if not any(isinstance(hook, AuditHook) for hook in runner.hooks):
        runner.register_hook(AuditHook())
    if not any(isinstance(hook, SummaryHook | DryRunHook) for hook in runner.hooks):
        runner.register_hook(SummaryHook())
        runner.register_hook(TrackerHook())
    config = runner.optim_wrapper
    told_apart = isinstance(config, Mapping) and (config.get('paramwise_cfg') or config.get('constructor'))
    if told_apart and isinstance(runner.model, Distiller | DistributedDataParallel):  # no sharded parameters
        runner.optim_wrapper = build_student_optimizer(model, config)  # which the Runner takes as it is


def _check_epochs(runner: Runner, model: Distiller) -> None:
    """Refuse a training in which nobody tells the model its epochs, where something changes with them."""
    paced = [name for name, term in model.terms.items() if term.is_scheduled]
    if (paced or len(model.stages) > 1) and not any(isinstance(hook, StageHook) for hook in runner.hooks):
        what = 'several stages need' if len(model.stages) > 1 else f'terms.{paced[0]} changes with time and needs'
        raise UsageError(f"custom_hooks: {what} dict(type='shake_mm.StageHook'): add it.")


def _check_hooks(runner: Runner, model: Any) -> None:
    model = model.module if isinstance(model, BaseTTAModel) else model
    for hook in runner.hooks:
        if isinstance(hook, AuditHook | StageHook | MemberEvalHook) and not isinstance(model, Distiller):
            raise UsageError(
                f'custom_hooks: shake_mm.{type(hook).__name__} is for a distiller, but `model` is a '
                f'{type(model).__name__}: leave the hook out.'
            )
