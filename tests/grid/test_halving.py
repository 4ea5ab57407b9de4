"""Successive halving: its arithmetic, and trainings that are shorter with the whole of their schedule."""

import pytest
from mmengine.config import Config

from shake_mm.errors import UsageError
from shake_mm.grid.halving import affordable, best, cost_of, drawn, number_kept, rounds_of, shorten


def test_rounds_grow_by_three():
    assert [rounds_of(n) for n in (240, 9, 3, 1)] == [[27, 80, 240], [1, 3, 9], [1, 3], [1]]


def test_the_cost_is_that_of_all_trainings():
    """Nine settings: 9 of 1 epoch, 3 of 3, 1 of 9."""
    assert cost_of(9, [1, 3, 9]) == 9 + 9 + 9 and cost_of(1, [1, 3, 9]) == 13 and number_kept(4) == 2


def test_as_many_settings_as_there_is_time_for():
    assert affordable(27, [1, 3, 9], 50) == 9 and affordable(26, [1, 3, 9], 50) == 8
    assert affordable(1e9, [1, 3, 9], 5) == 5 and affordable(-1, [1, 3, 9], 5) == 1


def test_a_seed_draws_the_same_settings():
    names = [f'setting {i}' for i in range(30)]
    first = drawn(names, 7, seed=3)
    assert first == drawn(names, 7, seed=3) != drawn(names, 7, seed=4)
    assert len(set(first)) == 7 and sorted(drawn(names, 99)) == sorted(names)
    assert first == drawn(names, 9, seed=3)[:7]


def test_the_best_come_first():
    assert best({'a': 1.0, 'b': 3.0, 'c': 3.0, 'd': 2.0}, 3) == ['b', 'c', 'd']


def test_a_shorter_training_has_its_whole_schedule():
    cfg = Config(
        dict(
            train_cfg=dict(by_epoch=True, max_epochs=240, val_interval=5, val_begin=9, dynamic_intervals=[(235, 1)]),
            param_scheduler=[
                dict(type='LinearLR', by_epoch=False, begin=0, end=500),
                dict(type='MultiStepLR', by_epoch=True, milestones=[150, 180, 210]),
                dict(type='CosineAnnealingLR', T_max=240, begin=0, end=240),
            ],
            default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1, save_best='auto')),
        )
    )
    shorten(cfg, 80)
    warm, steps, cosine = cfg.param_scheduler
    assert (warm.begin, warm.end) == (0, 500)
    assert steps.milestones == [50, 60, 70]
    assert (cosine.T_max, cosine.begin, cosine.end) == (80, 0, 80)
    assert cfg.train_cfg == dict(by_epoch=True, max_epochs=80, val_interval=80)
    assert cfg.default_hooks.checkpoint.interval == 80 and cfg.default_hooks.checkpoint.save_best is None
    single = Config(dict(train_cfg=dict(max_epochs=6), param_scheduler=dict(type='StepLR', step_size=3)))
    shorten(single, 2)
    assert single.param_scheduler.step_size == 1
    with pytest.raises(UsageError, match='max_epochs is missing'):
        shorten(Config(dict(train_cfg=dict(max_iters=9))), 1)
