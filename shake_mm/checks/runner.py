"""Builds a runner whose data and weights were checked, and which overwrites nothing before it can begin."""

from typing import Any

from mmdet.datasets import CocoDataset
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from ..engine import Distiller
from ..errors import UsageError
from ..hooks import MemberEvalHook, ReadGuardHook, StageHook
from ..utils import unwrap_model
from .annotations import CheckedCOCO
from .config import check_config
from .data import building, check_data
from .weights import StartWeightsHook, check_start, read_start


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
    if start is not None:
        check_start(model, start)
        if start.where != 'resume':
            runner.register_hook(StartWeightsHook(model, start))
    for name in ('train', 'val') if mode == 'train' else ('test',):
        if cfg.get(f'{name}_dataloader') is not None:
            key = f'{name}_dataloader'
            config = cfg[key].get('dataset')
            with building(key, config):
                loop: Any = getattr(runner, f'{name}_loop')
            check_data(loop.dataloader, key, config, model)
    return runner


def _check_hooks(runner: Runner, model: Any) -> None:
    for hook in runner.hooks:
        if isinstance(hook, StageHook | MemberEvalHook) and not isinstance(model, Distiller):
            raise UsageError(
                f'custom_hooks: shake_mm.{type(hook).__name__} is for a distiller, but `model` is a '
                f'{type(model).__name__}: leave the hook out.'
            )
