"""Configs that look right and could not end well."""

import copy
import re

import pytest
from mmengine.config import Config

from shake_mm.checks.config import check_config
from shake_mm.checks.schema import SCHEMA, at, check_schema
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


PASSING = [
    (
        dict(train_cfg=dict(max_epochs=1e2, val_interval=2.0, dynamic_intervals=[(0, 1), [18, 2]])),
        {'max_epochs': 1.5, 'val_interval': 0.0, 'dynamic_intervals': [(0, 1, 2)]},
    ),
    (
        dict(optim_wrapper=dict(clip_grad=None, optimizer=dict(lr=0.0, betas=(0.9, 0.999, 0.99)))),
        {'clip_grad': 35, 'optimizer.lr': -0.1, 'optimizer.betas': (0.9, 1.1)},
    ),
    (
        dict(optim_wrapper=dict(clip_grad=dict(max_norm=35, norm_type=float('inf')))),
        {'clip_grad.max_norm': 0, 'clip_grad.norm_type': float('nan')},
    ),
    (
        dict(optim_wrapper=dict(constructor='X', a=dict(optimizer=dict(lr=1)), b=dict(accumulative_counts=2))),
        {'a.optimizer.lr': True, 'b.accumulative_counts': 0},
    ),
    (
        dict(
            param_scheduler=[dict(type='LinearLR', start_factor=1e-3, end=2), dict(type='CosineAnnealingLR', begin=2.0)]
        ),
        {'0.type': '', '0.start_factor': 0, '0.end': 2.5, '1.begin': 2.5},
    ),
    (
        dict(param_scheduler=dict(a=[dict(milestones=(1, 2.0))], b=dict(end=10**9))),
        {'a.0.milestones': (1, 2.5), 'b.end': 0},
    ),
    (
        dict(
            default_hooks=dict(checkpoint=dict(interval=-1, save_best=['a', 'b'], rule=['less', 'greater']), timer=None)
        ),
        {'checkpoint.interval': -2, 'checkpoint.rule': ['less', 'more'], 'timer': 'none'},
    ),
    (
        dict(custom_hooks=None, resume=False, load_from=None, log_level=10, randomness=dict(seed=None)),
        {'custom_hooks': 'none', 'resume': 0, 'load_from': 1, 'log_level': -10, 'randomness.seed': 2**32},
    ),
    (
        dict(model=dict(data_preprocessor=dict(mean=[0], std=[255.0]), teachers=[dict(data_preprocessor=None)])),
        {'data_preprocessor.mean': ['0'], 'data_preprocessor.std': [0], 'teachers.0.data_preprocessor': 'none'},
    ),
    (
        dict(val_evaluator=[dict(type='Accuracy', topk=(1, 5))], test_evaluator=dict(topk=1)),
        {'val_evaluator.0.type': '', 'val_evaluator.0.topk': (1, 0), 'test_evaluator.topk': True},
    ),
]
"""Parts of configs that mmengine takes, and neighbors of their values that it does not."""


@pytest.mark.parametrize(('part', 'neighbors'), PASSING)
def test_what_mmengine_takes_passes(part, neighbors):
    check_schema(part)
    for place, value in neighbors.items():
        key = place if len(part) > 1 else f'{next(iter(part))}.{place}'
        cfg = Config(copy.deepcopy(part))
        cfg.merge_from_dict({key: value})
        with pytest.raises(UsageError, match=rf'^{re.escape(key)} is '):
            check_schema(cfg.to_dict())


def test_every_rule_says_what_it_wants_and_finds_its_keys():
    for rule, patterns in SCHEMA:
        assert rule.wanted and len(set(patterns.split())) == len(patterns.split())
        assert not rule.holds('' if 'text' not in rule.wanted else 3), rule.wanted
    cfg = dict(a=dict(std=1, b=[dict(std=2)]), std=3)
    assert dict(at(cfg, ('**', 'std'))) == {'std': 3, 'a.std': 1, 'a.b.0.std': 2}
    assert dict(at(cfg, ('a', 'b', '*', 'std'))) == {'a.b.0.std': 2}


@pytest.mark.parametrize(
    ('cfg', 'match'),
    [
        (dict(optim_wrapper=dict(b=dict(optimizer=dict(lr='1e-3')))), r'^optim_wrapper\.b\.optimizer\.lr is .*1\.0e-3'),
        (dict(param_scheduler=dict(b=[dict(T_max=0)])), r'^param_scheduler\.b\.0\.T_max is 0, .* above 0\.$'),
        (dict(model=dict(teachers=[dict(data_preprocessor=dict(std=[1, 0]))])), r'^model\.teachers\.0\.data_prep'),
        (
            dict(val_dataloader=dict(dataset=dict(dataset=dict(pipeline=['a'])))),
            r'^val_dataloader\.dataset\.dataset\.pip',
        ),
        (dict(load_from=list(range(99))), '…, but it must be a text'),
    ],
)
def test_siblings_in_other_places_are_found(cfg, match):
    with pytest.raises(UsageError, match=match):
        check_schema(cfg)


def test_a_test_does_not_read_what_trains():
    loader = dict(dataset=dict(type='A'), sampler=dict(type='B'))
    test = dict(test_dataloader=loader, test_cfg={}, test_evaluator=dict(type='A'))
    cfg = Config(dict(model=dict(type='C'), randomness=dict(seed=0), param_scheduler=3, **test))
    check_config(cfg, 'test')
    cfg.randomness.seed = -1
    with pytest.raises(UsageError, match=r'randomness\.seed is -1'):
        check_config(cfg, 'test')
