"""Builds a runner whose data and weights were checked, and which overwrites nothing before it can begin."""

from collections.abc import Mapping
from typing import Any

from mmdet.datasets import CocoDataset
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from torch.nn.parallel import DistributedDataParallel

from ..engine import Distiller
from ..engine.optimizers import build_student_optimizer
from ..errors import UsageError
from ..hooks import AuditHook, MemberEvalHook, ReadGuardHook, StageHook
from ..utils import unwrap_model
from .annotations import CheckedCOCO
from .config import check_config
from .data import building, check_data
from .views import fit_views
from .weights import check_start, read_start


class _DumpConfigHook(Hook):
    """Writes the run's config into the work directory when everything is built."""

    priority = 'VERY_LOW'

    def before_train(self, runner: Runner) -> None:
        runner.dump_config()

    def before_test(self, runner: Runner) -> None:
        runner.dump_config()


def build_runner(cfg: Config, mode: str) -> Runner:
    """Build the runner of a config.

    mmengine writes the config into the work directory, over that of an earlier run, before it has seen data and
    weights. Here it is written only when the run begins.

    Args:
        cfg (Config): The config, with the command line merged.
        mode (str): What the runner is for, ``'train'`` or ``'test'``.

    Raises:
        UsageError: If the run could not begin; the message names the key or file, and how to fix it.
    """
    check_config(cfg, mode)
    start = read_start(cfg, mode)
    CocoDataset.COCOAPI = CheckedCOCO
    dump, Runner.dump_config = Runner.dump_config, lambda self: None
    try:
        runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    finally:
        Runner.dump_config = dump
    runner.register_hook(_DumpConfigHook())
    if not any(isinstance(hook, ReadGuardHook) for hook in runner.hooks):
        runner.register_hook(ReadGuardHook())
    model = unwrap_model(runner.model)
    _check_hooks(runner, model)
    if isinstance(model, Distiller) and not any(isinstance(hook, AuditHook) for hook in runner.hooks):
        runner.register_hook(AuditHook())
    if start is not None:
        check_start(model, start)
    loops = ('train', 'val') if mode == 'train' else ('test',)
    if isinstance(model, Distiller):
        fit_views(cfg, model, [f'{name}_dataloader' for name in loops])
        if mode == 'train':
            _build_optimizer(runner, model)
    for name in loops:
        if cfg.get(f'{name}_dataloader') is not None:
            key = f'{name}_dataloader'
            config = cfg[key].get('dataset')
            with building(key, config):
                loop: Any = getattr(runner, f'{name}_loop')
            check_data(loop.dataloader, key, config, model)
    return runner


def _build_optimizer(runner: Runner, model: Distiller) -> None:
    """Build the optimizer where its config tells parameters apart; the Runner takes it as it is."""
    config = runner.optim_wrapper
    told_apart = isinstance(config, Mapping) and (config.get('paramwise_cfg') or config.get('constructor'))
    if told_apart and isinstance(runner.model, Distiller | DistributedDataParallel):  # no sharded parameters
        runner.optim_wrapper = build_student_optimizer(model, config)


def _check_hooks(runner: Runner, model: Any) -> None:
    for hook in runner.hooks:
        if isinstance(hook, AuditHook | StageHook | MemberEvalHook) and not isinstance(model, Distiller):
            raise UsageError(
                f'custom_hooks: shake_mm.{type(hook).__name__} is for a distiller, but `model` is a '
                f'{type(model).__name__}: leave the hook out.'
            )
