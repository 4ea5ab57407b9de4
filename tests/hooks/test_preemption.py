"""SIGTERM: every process stops after the same step, saved; what the run was before, it is after."""

import multiprocessing
import os
import signal
import sys
import time

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from shake_mm.errors import UsageError
from shake_mm.hooks.preemption import Preempted, PreemptionHook, _end_workers
from shake_mm.switches import make_exact
from tools.train import main as train_main

from ..engine.test_distributed import free_port
from ..support.kills import Kill, assert_same, final
from ..support.runs import run_config


@pytest.fixture
def model(make_classifier):
    return dict(type='shake_mm.Baseline', student=make_classifier(4, classes=100))


@pytest.fixture
def start(model):
    """A runner of an exact run that signals itself at a point."""

    def start(folder, point=None, **changes):
        config = run_config(model, folder, epochs=2, **changes)
        make_exact(config)
        runner = Runner.from_cfg(config)
        if point:
            runner.register_hook(Kill(*point, signal.SIGTERM))
        return runner

    return start


def test_the_handler_is_given_back(start, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    runner = start(tmp_path)
    seen = []
    runner.call_hook = lambda name, call=runner.call_hook, **kwargs: (
        call(name, **kwargs),
        seen.append(signal.getsignal(signal.SIGTERM)),
    )
    runner.train()
    assert before not in seen[2:-2] and signal.getsignal(signal.SIGTERM) == before


class Broken(Hook):
    """Ends a training by an exception."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        raise KeyError('broken')


def test_the_handler_is_given_back_by_a_run_that_fails(start, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    runner = start(tmp_path)
    runner.register_hook(Broken())
    with pytest.raises(KeyError, match='broken'):
        runner.train()
    assert signal.getsignal(signal.SIGTERM) == before


class Fork(Hook):
    """Forks a process in the first step, as metrics with pools do, and ends it."""

    def __init__(self):
        self.status = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if not self.status:
            process = multiprocessing.get_context('fork').Process(target=time.sleep, args=(60,))
            process.start()
            process.terminate()
            process.join(20)
            self.status.append(process.exitcode)
            process.kill()


def test_what_a_run_forks_ends_by_its_signal(start, tmp_path):
    """mmdet's VOC metric waits for the pool that it ends, and did so forever; the run itself was not asked to stop."""
    runner = start(tmp_path)
    fork = Fork()
    runner.register_hook(fork)
    runner.train()
    assert fork.status == [-signal.SIGTERM] and (tmp_path / 'epoch_2.pth').exists()


def test_a_plain_loop_is_refused(model, tmp_path):
    config = run_config(model, tmp_path)
    config.custom_hooks = [dict(type='shake_mm.PreemptionHook')]
    with pytest.raises(UsageError, match='ExactTrainLoop.*--exact'):
        Runner.from_cfg(config).train()


def test_gradients_are_collected_first(start, tmp_path):
    """Asked at iteration 4, it stops where the update comes, after the sixth."""
    wrapper = dict(accumulative_counts=3, optimizer=dict(type='SGD', lr=0.1))
    hooks = dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=9))
    runner = start(tmp_path, ('batch', 4), optim_wrapper=wrapper, default_hooks=hooks)
    with pytest.raises(Preempted) as stop:
        runner.train()
    assert stop.value.code == 75 and final(tmp_path)['meta']['iter'] == 6


def test_a_validation_ends_first(start, tmp_path):
    """With averaged weights in the network's place while it is validated, and its own in the checkpoint."""
    runner = start(tmp_path, custom_hooks=[dict(type='EMAHook', momentum=0.5)])
    losses = []

    class Ask(Kill):
        def before_val_iter(self, runner, batch_idx, data_batch=None):
            if batch_idx == 0:  # a second signal would end the process
                self.kill()

        def after_val_epoch(self, runner, metrics=None):
            losses.append(metrics)

    runner.register_hook(Ask('', 0, signal.SIGTERM))
    with pytest.raises(Preempted):
        runner.train()
    stopped = final(tmp_path)
    assert losses and (stopped['meta']['epoch'], stopped['meta']['iter']) == (1, 4)
    last = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)
    for part in ('state_dict', 'ema_state_dict', 'optimizer'):
        assert_same(stopped[part], last[part], part)


def test_data_workers_live_on(start, tmp_path):
    """Clusters and launchers signal them too; they serve the rest of the epoch, and are gone with the run."""
    runner = start(tmp_path, ('batch', 1))
    runner.cfg.train_dataloader.update(num_workers=1, persistent_workers=True)
    runner._train_dataloader = runner.cfg.train_dataloader
    runner._train_loop = dict(runner.cfg.train_cfg)
    served = []

    class Spread(Kill):
        priority = 'HIGHEST'

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            for worker in multiprocessing.active_children():
                os.kill(worker.pid, signal.SIGTERM)
                served.append(worker)

    runner.register_hook(Spread('', 0, 0))
    with pytest.raises(Preempted):
        runner.train()
    assert len(served) == 2 and served[0] is served[1] and served[0].is_alive()
    torchs = signal.getsignal(signal.SIGCHLD)
    try:
        _end_workers()
        served[0].join(10)
    finally:
        signal.signal(signal.SIGCHLD, torchs)
    assert not served[0].is_alive() and final(tmp_path)['meta']['iter'] == 2


def test_with_nccl_processes_agree_now_and_then(monkeypatch):
    """Reading the device in every step would make it wait: only where the run logs, and at an epoch's end."""
    asked = []
    monkeypatch.setattr('shake_mm.hooks.preemption.get_world_size', lambda: 2)
    monkeypatch.setattr('shake_mm.hooks.preemption.all_reduce', lambda flag, op: asked.append((int(flag), op)))
    for backend, wanted in (('nccl', [(0, 'max')]), ('gloo', [(0, 'max')] * 2)):
        monkeypatch.setattr('shake_mm.hooks.preemption.get_backend', lambda backend=backend: backend)
        asked.clear()
        hook = PreemptionHook()
        assert not hook._agreed(due=False) and not hook._agreed(due=True)
        assert asked == wanted


def rank(argv, number, port, ask):
    os.environ.update(RANK=str(number), LOCAL_RANK=str(number), WORLD_SIZE='2', MASTER_ADDR='127.0.0.1')
    os.environ.update(MASTER_PORT=str(port), LOCAL_WORLD_SIZE='2')
    if ask and number == 1:
        register = Runner.register_hooks

        def with_kill(self, *args, **kwargs):
            register(self, *args, **kwargs)
            self.register_hook(Kill('batch', 2, signal.SIGTERM))

        Runner.register_hooks = with_kill
    sys.exit(train_main(argv))


def test_two_processes_stop_and_go_on_together(model, tmp_path):
    """Only the second is signaled; the run that goes on ends as the whole one."""
    config = run_config(model, tmp_path, epochs=2)
    config.dump(tmp_path / 'config.py')

    def run(folder, *options, ask=False):
        argv = [str(tmp_path / 'config.py'), '--work-dir', str(folder), '--exact', '--launcher', 'pytorch', *options]
        port, fork = free_port(), multiprocessing.get_context('fork')
        processes = [fork.Process(target=rank, args=(argv, number, port, ask)) for number in (0, 1)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        return [process.exitcode for process in processes]

    assert run(tmp_path / 'cut', ask=True) == [75, 75]
    assert final(tmp_path / 'cut')['meta']['iter'] == 3
    assert run(tmp_path / 'cut', '--resume') == run(tmp_path / 'whole') == [0, 0]
    for part in ('state_dict', 'optimizer'):
        assert_same(final(tmp_path / 'cut')[part], final(tmp_path / 'whole')[part], part)
