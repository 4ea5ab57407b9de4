"""NaN and Inf: nothing is applied, the run stops, the checkpoints stay."""

import pytest
import torch
from mmengine.runner import Runner

from shake_mm.errors import NonFiniteError
from shake_mm.hooks import FiniteGuardHook

from ..runs import run_config


def poison(runner, at):
    """From iteration ``at`` on, one term is NaN."""
    original, state = runner.model.loss, {'iter': 0}

    def loss(inputs, data_samples):
        losses = original(inputs, data_samples)
        if state['iter'] >= at:
            losses['loss_proxy_from_teacher'] = losses['loss_proxy_from_teacher'] * float('nan')
        state['iter'] += 1
        return losses

    runner.model.loss = loss


def snapshot(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def test_no_update_and_an_intact_checkpoint(shake, tmp_path):
    runner = Runner.from_cfg(run_config(shake, tmp_path, epochs=2))
    poison(runner, at=6)  # the third iteration of the second epoch
    seen = {}

    def before_step(*args):
        seen.update(snapshot(runner.model))

    runner.model.register_forward_pre_hook(before_step)
    with pytest.raises(NonFiniteError, match='loss_proxy_from_teacher') as error:
        runner.train()
    assert 'student.loss' not in str(error.value)
    assert all(torch.equal(p, seen[name]) for name, p in runner.model.named_parameters())
    assert (tmp_path / 'last_checkpoint').read_text().endswith('epoch_1.pth')
    state = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)['state_dict']
    assert all(torch.isfinite(value.float()).all() for value in state.values())


@pytest.mark.parametrize('at, stops', [(0, 1), (3, 3), (4, 5)])
def test_on_an_accelerator_gradients_are_zeroed_until_the_next_log(shake, tmp_path, monkeypatch, at, stops):
    """The path without host reads, forced on the CPU: it stops at the next log (every 2) or epoch end (every 4)."""
    monkeypatch.setattr(FiniteGuardHook, '_on_host', lambda self: False)
    runner = Runner.from_cfg(run_config(shake, tmp_path, epochs=2))
    poison(runner, at=at)
    with pytest.raises(NonFiniteError, match='loss_proxy_from_teacher'):
        runner.train()
    assert runner.iter == stops
    assert [path.name for path in tmp_path.glob('epoch_*.pth')] == (['epoch_1.pth'] if at >= 4 else [])
    assert all(torch.isfinite(p).all() for p in runner.model.parameters())


def test_clean_runs_are_unchanged(shake, tmp_path):
    states = []
    for i, hooks in enumerate(([], [dict(type='shake_mm.FiniteGuardHook')])):
        torch.manual_seed(0)
        runner = Runner.from_cfg(run_config(shake, tmp_path / str(i), custom_hooks=hooks))
        runner.train()
        states.append(runner.model.state_dict())
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
