"""Stages in a real run: parameters move only where their stage trains them; resuming enters the right stage."""

import pytest
import torch
from mmengine.runner import Runner

from shake_mm.grid import read_run

from ..support.runs import run_config

TERMS = ['student_from_proxy', 'proxy_from_student']
STAGES = [
    dict(until=1, terms=['proxy_from_teacher'], train=['proxies']),
    dict(terms=['task', *TERMS], train=['student']),
]


def test_each_stage_moves_its_own_parameters(shake, tmp_path):
    model = {**shake, 'stages': STAGES}
    runner = Runner.from_cfg(run_config(model, tmp_path, epochs=2))
    runner.train()
    first = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)['state_dict']
    last = torch.load(tmp_path / 'epoch_2.pth', weights_only=True)['state_dict']
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
    stages = [dict(until=1), dict(reset_optimizer=reset)]
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
