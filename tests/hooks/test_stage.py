"""Stages in a real run: parameters move only where their stage trains them; resuming enters the right stage."""

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner

from shake_mm.errors import UsageError
from shake_mm.grid import read_run
from shake_mm.safe_io import read
from shake_mm.switches import make_exact

from ..support.kills import assert_same
from ..support.points import build, run
from ..support.runs import run_config

TERMS = ['student_from_proxy', 'proxy_from_student']
STAGES = dict(
    proxy=dict(until=1, terms=['proxy_from_teacher'], train=['proxies']),
    main=dict(terms=['task', *TERMS], train=['student']),
)


def test_each_stage_moves_its_own_parameters(shake, tmp_path):
    model = {**shake, 'stages': STAGES}
    runner = Runner.from_cfg(run_config(model, tmp_path, epochs=2))
    runner.train()
    first = read(tmp_path / 'epoch_1.pth')['state_dict']
    last = read(tmp_path / 'epoch_2.pth')['state_dict']
    parameters = dict(runner.model.named_parameters())
    for name in parameters:
        assert torch.equal(first[name], last[name]) == name.startswith('proxies'), name
    assert runner.model.stage_index == 1
    rows = read_run(tmp_path).train
    logged = [{key for key in row if 'loss_' in key} for row in rows]
    assert [row['epoch'] for row in rows] == [1, 1, 2, 2]
    assert logged[:2] == [{'loss_proxy_from_teacher'}] * 2
    assert logged[2] == logged[3] == {f'loss_{name}' for name in TERMS}

    resumed = Runner.from_cfg(
        run_config(model, tmp_path, epochs=3, resume=True, load_from=str(tmp_path / 'epoch_2.pth'))
    )
    resumed.train()
    assert resumed.model.stage_index == 1 and resumed.epoch == 3


@pytest.mark.parametrize('reset', [False, True])
def test_a_stage_may_begin_with_a_new_optimizer(shake, tmp_path, reset):
    """Momentum from before is gone, also where the run resumes at the switch; inside the stage a resume keeps it."""
    stages = dict(first=dict(until=1), main=dict(reset_optimizer=reset))
    seen = {}

    def watch(name, epochs, **changes):
        runner = Runner.from_cfg(run_config({**shake, 'stages': stages}, tmp_path, epochs=epochs, **changes))
        step = runner.model.train_step

        def train_step(*args, **kwargs):
            seen.setdefault((name, runner.epoch), bool(runner.optim_wrapper.optimizer.state))
            return step(*args, **kwargs)

        runner.model.train_step = train_step
        runner.train()
        return runner.model.state_dict()

    whole = watch('whole', 3)
    assert seen == {('whole', 0): False, ('whole', 1): not reset, ('whole', 2): True}
    for epoch in (1, 2):
        resumed = watch(f'from {epoch}', 3, resume=True, load_from=str(tmp_path / f'epoch_{epoch}.pth'))
        for key, value in resumed.items():
            torch.testing.assert_close(value, whole[key], rtol=0, atol=0, msg=key)
    assert seen['from 1', 1] == (not reset) and seen['from 2', 2]


def test_weights_warm_up(shake, tmp_path):
    terms = dict(student_from_proxy=dict(warmup=2), proxy_from_student=None)
    runner = Runner.from_cfg(run_config({**shake, 'terms': terms}, tmp_path, epochs=3))
    factors = []
    step = runner.model.train_step

    def train_step(*args, **kwargs):
        factors.append(runner.model.terms['student_from_proxy'].factor)
        return step(*args, **kwargs)

    runner.model.train_step = train_step
    runner.train()
    per_epoch = len(runner.train_dataloader)
    assert factors == [0.5] * per_epoch + [1.0] * 2 * per_epoch
    assert runner.model.terms['task'].factor == 1.0


ADDED = dict(first=dict(until=1, adds_epochs=True), init=dict(until=3, adds_epochs=True, lr_factor=0.2), main=dict())
SCHEDULES = {
    'by epoch': dict(type='MultiStepLR', milestones=[2, 3], gamma=0.1, by_epoch=True),
    'begins later': dict(type='StepLR', step_size=1, gamma=0.5, begin=2),
    'by iteration': [
        dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=3),
        dict(type='CosineAnnealingLR', eta_min_ratio=0.1, begin=1, by_epoch=True, convert_to_iter_based=True),
    ],
    'from its first value': dict(type='CosineAnnealingLR', eta_min=0.01, by_epoch=True, convert_to_iter_based=True),
    'one cycle': dict(type='OneCycleLR', eta_max=1.0, by_epoch=True, convert_to_iter_based=True),
    'momentum too': [dict(type='LinearLR', start_factor=0.1, end=3), dict(type='LinearMomentum', start_factor=0.5)],
}


@pytest.mark.parametrize('optimizer', ['SGD', 'Adam'])
@pytest.mark.parametrize('name', SCHEDULES)
def test_the_schedule_begins_when_the_added_epochs_end(name, optimizer, tmp_path):
    """It is that of a run without them; a rate that was lowered meanwhile is given back, which may round it."""
    settings = dict(lr=0.5, momentum=0.9) if optimizer == 'SGD' else dict(lr=0.5, betas=(0.9, 0.99))
    changes = dict(param_scheduler=SCHEDULES[name], optim_wrapper=dict(optimizer=dict(type=optimizer, **settings)))
    plain, first, longer = (run(stages, tmp_path, **changes)[1] for stages in (None, dict(ADDED, init=None), ADDED))
    assert first.stages == [0] * 2 + [1] * 8 and first.groups[2:] == plain.groups
    assert longer.stages == [0] * 2 + [1] * 4 + [2] * 8 and len(plain.stages) == 8
    assert longer.rates[6:] == pytest.approx(plain.rates, rel=1e-12)
    own = 0.04 if name == 'one cycle' else 0.5  # the rate from which a cycle begins is the schedule's
    assert longer.rates[:6] == pytest.approx([own] * 2 + [0.2 * own] * 4)
    for groups in longer.groups[:6]:
        assert groups[0].get('momentum', 0.9) == 0.9 and groups[0].get('betas', (0.9,))[0] == 0.9


def test_without_a_schedule_the_rate_is_given_back(tmp_path):
    assert run(ADDED, tmp_path)[1].rates == pytest.approx([0.5] * 2 + [0.1] * 4 + [0.5] * 8)


def test_several_optimizers_each_have_their_schedule(tmp_path):
    runner, watch = build(ADDED, tmp_path, param_scheduler=dict(a=SCHEDULES['by epoch'], b=[]))
    optimizers = {name: torch.optim.SGD(runner.model.parameters(), lr) for name, lr in (('a', 0.5), ('b', 0.05))}
    runner.optim_wrapper = OptimWrapperDict(**{name: OptimWrapper(part) for name, part in optimizers.items()})
    runner.model.train_step = lambda data, optim_wrapper: dict(loss=torch.zeros(1))
    runner.train()
    first, second = ([groups[i]['lr'] for groups in watch.groups] for i in range(2))
    assert first == pytest.approx([0.5] * 2 + [0.1] * 4 + [0.5] * 4 + [0.05] * 2 + [0.005] * 2)
    assert second == pytest.approx([0.05] * 2 + [0.01] * 4 + [0.05] * 8)


def test_a_scaled_rate_stays_scaled(tmp_path):
    scale = dict(enable=True, base_batch_size=2)
    assert run(ADDED, tmp_path, auto_scale_lr=scale, param_scheduler=SCHEDULES['by epoch'])[1].rates == pytest.approx(
        [0.25] * 2 + [0.05] * 4 + [0.25] * 4 + [0.025] * 2 + [0.0025] * 2
    )


class Validations(Hook):
    def __init__(self):
        self.epochs = []

    def before_val(self, runner):
        self.epochs.append(runner.epoch)


@pytest.mark.parametrize(
    'train_cfg, epochs',
    [
        (dict(val_interval=1), [1, 2, 3, 4, 5, 6]),
        (dict(val_interval=1, val_begin=3), [5, 6]),
        (dict(val_interval=3, dynamic_intervals=[(3, 1)]), [3, 4, 5, 6]),
    ],
)
def test_validations_that_wait_wait_longer(shake, tmp_path, train_cfg, epochs):
    """And a validation alone, before or after, lengthens nothing."""
    model = {**shake, 'stages': dict(init=dict(until=2, adds_epochs=True), main=dict())}
    config = run_config(model, tmp_path, samples=16)
    config.train_cfg = dict(by_epoch=True, max_epochs=4, **train_cfg)
    runner, seen = Runner.from_cfg(config), Validations()
    runner.register_hook(seen)
    runner.val()
    runner.train()
    runner.val()
    assert seen.epochs == [0, *epochs, 6] and runner.max_epochs == 6 and runner.max_iters == 6


class Stop(Hook):
    def __init__(self, at):
        self.at = at

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize('exact', [False, True])
def test_a_run_resumes_in_either_stage(shake, tmp_path, exact):
    """With schedulers of both kinds; with --exact also in the midst of an epoch, and where the second stage begins."""
    model = {**shake, 'stages': dict(STAGES, proxy=dict(STAGES['proxy'], adds_epochs=True, lr_factor=0.2))}
    schedule = [*SCHEDULES['by iteration'], dict(type='MultiStepLR', milestones=[1], by_epoch=True)]

    def start(folder, stop=None, **changes):
        changes['default_hooks'] = dict(checkpoint=dict(type='CheckpointHook', by_epoch=not exact, interval=1))
        config = run_config(model, folder, epochs=2, param_scheduler=schedule, **changes)
        config.val_cfg = config.val_dataloader = config.val_evaluator = None
        if exact:
            make_exact(config)
        runner = Runner.from_cfg(config)
        runner.register_hook(Stop(stop))
        return runner

    start(tmp_path / 'whole').train()
    name = 'iter_12.pth' if exact else 'epoch_3.pth'
    whole = read(tmp_path / 'whole' / name)
    assert whole['meta']['iter'] == 12
    for stop in (2, 4) if exact else (4, 8):
        folder = tmp_path / f'cut{stop}'
        with pytest.raises(KeyboardInterrupt):
            start(folder, stop).train()
        start(folder, resume=True).train()
        cut = read(folder / name)
        for part in ('state_dict', 'optimizer', 'param_schedulers'):
            assert_same(cut[part], whole[part], f'{part} after {stop}')


@pytest.mark.parametrize(
    'changes, words',
    [
        (dict(stages=STAGES), '`until` counts epochs, but the training runs by iterations'),
        (dict(terms=dict(student_from_proxy=dict(warmup=2))), 'terms.student_from_proxy: `warmup` counts epochs'),
    ],
)
def test_a_training_by_iterations_is_refused(shake, tmp_path, changes, words):
    config = run_config({**shake, **changes}, tmp_path)
    config.train_cfg = dict(by_epoch=False, max_iters=4)
    with pytest.raises(UsageError, match=words):
        Runner.from_cfg(config).train()
    config.model = shake
    runner = Runner.from_cfg(config)
    runner.train()
    assert runner.iter == 4
