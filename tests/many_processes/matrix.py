"""Runs of many configs, in float64, inside one process group: a ``runner_type`` for ``tools/dist_train.sh``."""

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import get_dist_info
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

import shake_mm  # noqa: F401  (applies its workarounds before anything else is imported)
from shake_mm.compat.preferences import home_of_formatter


@RUNNERS.register_module()
class DoubleRunner(Runner):
    """mmengine's runner with a model in float64, so that rounding hides nothing."""

    def build_model(self, model: Any) -> torch.nn.Module:
        model = super().build_model(model).double()
        model.register_forward_pre_hook(_in_double, with_kwargs=True)
        return model


def _in_double(module, args, kwargs):
    """Preprocessors make float32 images."""
    if 'inputs' in kwargs:
        return args, {**kwargs, 'inputs': kwargs['inputs'].double()}
    return (args[0].double(), *args[1:]), kwargs


@RUNNERS.register_module()
class MatrixRunner(DoubleRunner):
    """Trains its own config and then those in ``configs``; saves what every rank ends with into ``folder``."""

    def train(self):
        # Nobody reads the configs that the runs write, and to lay them out takes longer than to train.
        vars(home_of_formatter())['FormatCode'] = lambda text, **options: (text, True)
        super().train()
        self.save(self)
        for path in self.cfg.configs:
            cfg = Config.fromfile(path)
            cfg.launcher = self.cfg.launcher
            cfg.train_dataloader.batch_size //= self.world_size
            runner = RUNNERS.build(cfg)
            runner.train()
            self.save(runner)

    def save(self, runner):
        rank, world = get_dist_info()
        state = runner.model.module.state_dict()
        torch.save(state, Path(self.cfg.folder, f'{runner.cfg.experiment_name}_{rank}_of_{world}.pth'))
