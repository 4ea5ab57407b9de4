"""NaN and Inf: nothing is applied, the run stops or leaves the step out, the checkpoints stay."""

import copy
import multiprocessing
import os
import re

import pytest
import torch
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner

from shake_mm.compat.process_group import leave_process_group
from shake_mm.errors import NonFiniteError, UsageError
from shake_mm.hooks import FiniteGuardHook
from shake_mm.registry import TRANSFORMS
from tools.train import main

from ..engine.test_distributed import free_port
from ..support.runs import run_config


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


@TRANSFORMS.register_module()
class NaNPicture:
    """Makes one sample's image NaN."""

    def __init__(self, sample):
        self.sample = sample

    def __call__(self, results):
        if results['sample_idx'] == self.sample:
            results['img'] = results['img'] * float('nan')
        return results


def nan_config(shake, work_dir, sample=7, policy='skip', epochs=2, **guard):
    """Two epochs of four batches; the sample is in one of each."""
    cfg = run_config(shake, work_dir, epochs=epochs)
    cfg.train_dataloader.dataset.pipeline = [dict(type='shake_mm.NaNPicture', sample=sample), dict(type='PackInputs')]
    cfg.custom_hooks = [
        dict(type='shake_mm.FiniteGuardHook', policy=policy, **guard),
        dict(type='EMAHook', momentum=0.1),
    ]
    return cfg


class Watch(Hook):
    """Keeps all that a step changes, as it was before it and after all hooks, and the ids of its samples."""

    priority = 'LOWEST'

    def __init__(self):
        self.before, self.after, self.ids = [], [], []

    def state(self, runner):
        ema = next(hook for hook in runner.hooks if isinstance(hook, EMAHook))
        return copy.deepcopy(
            [
                runner.model.state_dict(),
                runner.optim_wrapper.optimizer.state_dict()['state'],
                ema.ema_model.state_dict(),
            ]
        )

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.ids.append([sample.sample_idx for sample in data_batch['data_samples']])
        self.before.append(self.state(runner))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.after.append(self.state(runner))

    def changed(self):
        """Of each step, whether the weights, the optimizer's state and the average did."""
        return [[not equal(x, y) for x, y in zip(*states)] for states in zip(self.before, self.after)]


def equal(x, y):
    if isinstance(x, dict):
        return x.keys() == y.keys() and all(equal(x[key], y[key]) for key in x)
    return torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y


def snapshot(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def test_no_update_and_an_intact_checkpoint(shake, tmp_path):
    runner = Runner.from_cfg(run_config(shake, tmp_path, epochs=2))
    poison(runner, at=6)  # the third iteration of the second epoch
    seen, samples = {}, []

    def before_step(module, args, kwargs):
        seen.update(snapshot(runner.model))
        samples[:] = [sample.sample_idx for sample in args[1]] if len(args) > 1 else kwargs['data_samples']

    runner.model.register_forward_pre_hook(before_step, with_kwargs=True)
    with pytest.raises(NonFiniteError, match='loss_proxy_from_teacher') as error:
        runner.train()
    assert 'student.loss' not in str(error.value)
    ids = ', '.join(str(getattr(sample, 'sample_idx', sample)) for sample in samples)
    assert f'in iteration 7, samples {ids}: the run stopped' in str(error.value)
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
    watch = Watch()
    watch.state = lambda runner: []
    runner.register_hook(watch)
    with pytest.raises(NonFiniteError, match='loss_proxy_from_teacher') as error:
        runner.train()
    assert runner.iter == stops
    # the first bad iteration, not the one in which it was found
    assert f'in iteration {at + 1}, samples {", ".join(map(str, watch.ids[at]))}:' in str(error.value)
    assert [path.name for path in tmp_path.glob('epoch_*.pth')] == (['epoch_1.pth'] if at >= 4 else [])
    assert all(torch.isfinite(p).all() for p in runner.model.parameters())


def test_clean_runs_are_unchanged(shake, tmp_path):
    states = []
    for policy in (None, 'stop', 'skip'):
        hooks = [dict(type='shake_mm.FiniteGuardHook', policy=policy)] if policy else []
        torch.manual_seed(0)
        runner = Runner.from_cfg(run_config(shake, tmp_path / str(policy), custom_hooks=hooks))
        runner.train()
        states.append(runner.model.state_dict())
    assert equal(states[0], states[1]) and equal(states[0], states[2])


def test_a_skipped_step_changes_nothing(shake, tmp_path):
    """Neither weights, BatchNorm's statistics, momentum nor the average, in the step of the NaN image alone."""
    cfg = nan_config(shake, tmp_path)
    cfg.log_level = 'INFO'
    runner = Runner.from_cfg(cfg)
    watch = Watch()
    runner.register_hook(watch)
    runner.train()
    bad = [7 in ids for ids in watch.ids]
    assert sum(bad) == 2 and len(bad) == 8
    assert watch.changed() == [[not skipped] * 3 for skipped in bad]
    (log,) = tmp_path.glob('*/*.log')
    text = log.read_text()
    for number, i in enumerate((i for i, skipped in enumerate(bad) if skipped), 1):
        named = f'in iteration {i + 1}, samples {", ".join(map(str, watch.ids[i]))}: its update is skipped ({number} of'
        assert re.search(rf'NaN or Inf in student\.loss\b.* {re.escape(named)}', text)
    assert '2 updates were skipped in all' in text
    last = torch.load(tmp_path / 'epoch_2.pth', weights_only=True)
    assert last['message_hub']['runtime_info']['skipped_updates'] == 2


def test_a_skipped_batch_takes_the_accumulated_update_along(shake, tmp_path):
    """Two batches make an update: none of the two counts, and the next two do."""
    cfg = nan_config(shake, tmp_path, epochs=1)
    cfg.optim_wrapper.accumulative_counts = 2
    runner = Runner.from_cfg(cfg)
    watch = Watch()
    runner.register_hook(watch)
    runner.train()
    (bad,) = (i for i, ids in enumerate(watch.ids) if 7 in ids)
    moved = [not equal(*(s[1] for s in states)) for states in zip(watch.before, watch.after)]  # the momentum
    assert moved == [i % 2 == 1 and i // 2 != bad // 2 for i in range(4)]


@pytest.mark.parametrize('kind', ['dense', 'sparse', 'complex'])
def test_gradients_of_every_kind_are_looked_at(kind):
    good = {'dense': torch.ones(3), 'sparse': torch.eye(3).to_sparse(), 'complex': torch.ones(2) * 1j}[kind]
    guard = FiniteGuardHook()
    guard._iteration = 3
    guard._look([torch.ones(2), good])
    with pytest.raises(NonFiniteError, match='NaN or Inf in the gradients in iteration 3'):
        guard._look([torch.ones(2), good * float('inf')])


@pytest.mark.parametrize('sparse', [False, True])
def test_on_an_accelerator_gradients_of_every_kind_are_zeroed(sparse, monkeypatch):
    monkeypatch.setattr(FiniteGuardHook, '_on_host', lambda self: False)
    table = torch.nn.Embedding(4, 2, sparse=sparse)
    (table(torch.tensor([1, 1, 3])) * float('nan')).sum().backward()
    before, optimizer = table.weight.detach().clone(), torch.optim.SGD(table.parameters(), lr=1.0)
    guard = FiniteGuardHook()
    guard._guard(optimizer, (), {})
    optimizer.step()
    assert table.weight.grad.is_sparse == sparse and torch.equal(table.weight, before)


@pytest.mark.parametrize('policy', ['stop', 'skip'])
def test_no_optimizer_of_several_steps_where_one_must_not(policy, shake, tmp_path):
    """The losses are finite, the gradients of the second optimizer's are not, and the first one would step before."""
    cfg = run_config(shake, tmp_path, custom_hooks=[dict(type='shake_mm.FiniteGuardHook', policy=policy)])
    cfg.optim_wrapper = dict(
        constructor='shake_mm.OptimizersByLoss',
        main=dict(optimizer=dict(type='SGD', lr=0.05)),
        other=dict(optimizer=dict(type='SGD', lr=0.05), losses=['loss_proxy_from_teacher']),
    )
    runner = Runner.from_cfg(cfg)
    states, loss = [], runner.model.loss

    def steep(inputs, data_samples):
        losses = loss(inputs, data_samples)
        if len(states) == 2:
            losses['loss_proxy_from_teacher'] += (0 * losses['loss_proxy_from_teacher']).sqrt()
        states.append(snapshot(runner.model))
        return losses

    runner.model.loss = steep
    if policy == 'stop':
        with pytest.raises(NonFiniteError, match='NaN or Inf in the gradients in iteration 3'):
            runner.train()
    else:
        runner.train()
    states.append(snapshot(runner.model))
    moved = [not equal(*pair) for pair in zip(states, states[1:])]
    assert moved == [True, True, False, True][: len(moved)] and len(moved) == (3 if policy == 'stop' else 4)


def test_processes_skip_the_same_steps(shake, tmp_path):
    """One of two meets the NaN; both leave the step out, count it, and keep the same weights."""
    cfg = nan_config(shake, tmp_path)
    cfg.update(launcher='pytorch', env_cfg=dict(dist_cfg=dict(backend='gloo')))
    fork, port = multiprocessing.get_context('fork'), free_port()
    processes = [fork.Process(target=join, args=(cfg, tmp_path, rank, port)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    states = [torch.load(tmp_path / f'{rank}.pth') for rank in range(2)]
    assert [state['skipped'] for state in states] == [2, 2]
    assert all(p.isfinite().all() for p in states[0]['parameters'].values())
    assert equal(states[0]['parameters'], states[1]['parameters'])


def join(cfg, folder, rank, port):
    """A process of a run of two."""
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2', MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port)
    )
    runner = Runner.from_cfg(cfg)
    runner.train()
    skipped = runner.message_hub.runtime_info['skipped_updates']
    torch.save(dict(skipped=skipped, parameters=snapshot(runner.model.module)), folder / f'{rank}.pth')
    del runner
    leave_process_group()


def test_too_many_skips_end_the_run_with_one_sentence(shake, tmp_path, capfd):
    """As a user starts it; the count is the whole run's, also beyond a resume."""
    cfg = nan_config(shake, tmp_path, max_skips=1)
    cfg.pop('work_dir')
    cfg.dump(tmp_path / 'config.py')
    argv = [str(tmp_path / 'config.py'), '--work-dir', str(tmp_path / 'run')]
    assert main([*argv, '--cfg-options', 'train_cfg.max_epochs=1']) == 0
    capfd.readouterr()
    assert main([*argv, '--resume']) == 1
    errors = [line for line in capfd.readouterr().err.splitlines() if line.startswith('error: ')]
    assert len(errors) == 1 and re.search(
        r'NaN or Inf in student\.loss.* in iteration [5-8], samples .*\b7\b.*: the run stopped, as max_skips=1 ',
        errors[0],
    )
    assert (tmp_path / 'run' / 'last_checkpoint').read_text().endswith('epoch_1.pth')


@pytest.mark.parametrize(
    'arguments, message', [(dict(policy='ignore'), "policy='ignore'"), (dict(max_skips=0), 'max_skips=0')]
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(UsageError, match=message):
        FiniteGuardHook(**arguments)
