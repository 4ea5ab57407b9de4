"""Configs that look right and could not end well."""

import pytest
from mmengine.config import Config

from shake_mm.checks.config import check_config
from shake_mm.errors import UsageError


@pytest.mark.parametrize('hooks', [{}, dict(checkpoint=dict(type='CheckpointHook', interval=1))])
def test_the_state_of_a_sharded_optimizer_is_not_saved(hooks):
    optimizer = dict(type='ZeroRedundancyOptimizer', optimizer_type='SGD', lr=0.1)
    loader = dict(dataset=dict(type='A'), sampler=dict(type='B'))
    cfg = Config(
        dict(
            model=dict(type='C'),
            train_dataloader=loader,
            train_cfg=dict(by_epoch=True, max_epochs=1),
            optim_wrapper=dict(optimizer=optimizer),
            default_hooks=hooks,
        )
    )
    with pytest.raises(UsageError, match=r'set default_hooks.checkpoint.save_optimizer=False'):
        check_config(cfg, 'train')
    cfg.default_hooks = dict(checkpoint=dict(type='CheckpointHook', save_optimizer=False))
    check_config(cfg, 'train')
    cfg.default_hooks = dict(checkpoint=None)
    check_config(cfg, 'train')
