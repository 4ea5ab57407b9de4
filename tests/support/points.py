"""Runs of mmengine's Runner that cost milliseconds: a model of one number that has stages, on two batches an epoch."""

import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner

from shake_mm.engine.stages import build_stages


class Point(BaseModel):
    """The least that StageHook needs: a parameter, stages, and no terms."""

    def __init__(self, stages):
        super().__init__()
        self.x = torch.nn.Parameter(torch.ones(1))
        self.stages, self.terms, self.stage_index = build_stages(stages), {}, None

    def enter_epoch(self, epoch):
        pass

    def enter_iteration(self, iteration):
        pass

    def enter_stage(self, index):
        changed, self.stage_index = index != self.stage_index, index
        return changed

    def forward(self, inputs, data_samples=None, mode='loss'):
        return dict(loss=self.x.sum() * 0)


class Watch(Hook):
    """Notes the stage and the optimizer's settings before every iteration."""

    def __init__(self):
        self.stages, self.groups = [], []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.stages.append(runner.model.stage_index)
        wrapper = runner.optim_wrapper
        optimizers = (
            [part.optimizer for part in wrapper.values()] if hasattr(wrapper, 'values') else [wrapper.optimizer]
        )
        self.groups.append([dict(optimizer.param_groups[0], params=None) for optimizer in optimizers])

    @property
    def rates(self):
        """The learning rate of the first optimizer, by iteration."""
        return [groups[0]['lr'] for groups in self.groups]


def build(stages, folder, batches=2, **changes):
    """A runner of a model with ``stages``, and what watches it."""
    config = dict(
        train_cfg=dict(by_epoch=True, max_epochs=4),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.5, momentum=0.9)),
        default_hooks=dict(logger=None, checkpoint=None),
        log_level='WARNING',
    )
    loader = dict(
        batch_size=1,
        dataset=[dict(inputs=torch.zeros(1))] * batches,
        sampler=dict(type='DefaultSampler', shuffle=False),
    )
    runner = Runner(
        Point(stages),
        str(folder),
        train_dataloader=loader,
        custom_hooks=[dict(type='shake_mm.StageHook')],
        experiment_name=f'{folder}{id(loader)}',
        **{**config, **changes},
    )
    watch = Watch()
    runner.register_hook(watch)
    return runner, watch


def run(*args, **kwargs):
    """Train, and return the runner and what watched it."""
    runner, watch = build(*args, **kwargs)
    runner.train()
    return runner, watch
