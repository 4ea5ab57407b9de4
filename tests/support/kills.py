"""Runs by ``tools/train.py --exact`` that kill themselves at a chosen point, in processes forked from the tests'."""

import multiprocessing
import os
import random
import signal
import sys
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from shake_mm import atomic
from shake_mm.hooks.finite_guard import optimizers_of
from shake_mm.safe_io import read
from tools.train import main as train_main

INTERVAL = 3


class Point(NamedTuple):
    """Where a run dies: before an iteration's forward pass (``batch``), before or after its update (``update``,
    ``step``), with its checkpoint half written (``draft``), or before ``last_checkpoint`` names it (``renamed``), or
    as an epoch begins (``epoch``), or with the best checkpoint of this iteration half written (``best``) or whole but
    named by nothing yet (``best whole``).
    """

    moment: str
    at: int


def draw(name, count, iters, epochs):
    """Points of every kind in turn, from a kind on and at iterations that the name seeds."""
    rng = random.Random(name)
    first = rng.randrange(6)
    saves = [*range(INTERVAL, iters, INTERVAL), iters]
    places = dict.fromkeys(('batch', 'update', 'step'), range(iters))
    places.update(draft=saves, renamed=saves, epoch=range(1, epochs))
    kinds = ['update', 'draft', 'epoch', 'batch', 'renamed', 'step']
    return [Point(kind, rng.choice(places[kind])) for kind in (kinds[(first + i) % 6] for i in range(count))]


class Kill(Hook):
    """Sends this process a signal at a point."""

    priority = 'VERY_HIGH'

    def __init__(self, moment, at, number):
        self.moment, self.at, self.number = moment, at, number

    def kill(self):
        os.kill(os.getpid(), self.number)

    def before_train(self, runner):
        def before_update(*args):
            if (self.moment, self.at) == ('update', runner.iter):
                self.kill()

        for optimizer in optimizers_of(runner.optim_wrapper):
            optimizer.register_step_pre_hook(before_update)
        write = atomic.write

        def write_best(path, content, *args):
            dies = runner.iter == self.at and os.path.basename(path).startswith('best_')
            if dies and self.moment == 'best':
                self._patch('draft')
            write(path, content, *args)
            if dies and self.moment == 'best whole':
                self.kill()

        if self.moment.startswith('best'):
            atomic.write = write_best

    def before_train_epoch(self, runner):
        if (self.moment, self.at) == ('epoch', runner.epoch):
            self.kill()

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if (self.moment, self.at) == ('batch', runner.iter):
            self.kill()

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if (self.moment, self.at) == ('step', runner.iter):
            self.kill()

    def before_save_checkpoint(self, runner, checkpoint):
        if checkpoint['meta']['iter'] == self.at and self.moment in ('draft', 'renamed'):
            self._patch(self.moment)

    def _patch(self, moment):
        sync, replace = os.fsync, os.replace

        def half(handle):
            os.ftruncate(handle, os.fstat(handle).st_size // 2)
            sync(handle)
            self.kill()

        def last(source, target):
            replace(source, target)
            self.kill()

        changed = dict(fsync=half) if moment == 'draft' else dict(replace=last)
        atomic.os = type('os', (), {**vars(os), **changed})


def prepared(cfg, path, epochs=2, workers=2):
    """Write a config that saves every third iteration, with a schedule that changes by iteration and by epoch."""
    cfg.train_dataloader.update(num_workers=workers, persistent_workers=False)
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', by_epoch=False, interval=INTERVAL, max_keep_ckpts=1)
    cfg.param_scheduler = [
        dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=6),
        dict(type='MultiStepLR', milestones=[1], gamma=0.5, by_epoch=True),
    ]
    cfg.train_cfg = dict(by_epoch=True, max_epochs=epochs, val_interval=epochs)
    cfg.dump(path)
    return path


def run(config, folder, *options, point=None, number=signal.SIGKILL):
    """Train in a process of its own; return its exit status, negative for the signal that ended it."""
    argv = [str(config), '--work-dir', str(folder), '--exact', *options]
    process = multiprocessing.get_context('fork').Process(target=_train, args=(argv, point, int(number)))
    process.start()
    process.join()
    with suppress(ProcessLookupError):  # data workers of a killed process that wait forever to be read
        os.killpg(process.pid, signal.SIGKILL)
    return process.exitcode


def _train(argv, point, number):
    os.setsid()
    np.random.seed(os.getpid())  # what chance chooses is not what the process inherits
    if point is not None:
        upstream = Runner.register_hooks

        def register(self, *args, **kwargs):
            upstream(self, *args, **kwargs)
            self.register_hook(Kill(*point, number))

        Runner.register_hooks = register
    sys.exit(train_main(argv))


def final(folder):
    """The checkpoint that ``last_checkpoint`` names."""
    return read((folder / 'last_checkpoint').read_text())


def assert_same(found, wanted, at=''):
    """All values are bit by bit the same."""
    assert type(found) is type(wanted), at
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys(), at
        for key, value in wanted.items():
            assert_same(found[key], value, f'{at}.{key}')
    elif isinstance(wanted, (list, tuple)):
        assert len(found) == len(wanted), at
        for i, value in enumerate(wanted):
            assert_same(found[i], value, f'{at}.{i}')
    elif isinstance(wanted, torch.Tensor):
        assert torch.equal(found, wanted) and found.dtype == wanted.dtype, at
    else:
        assert found == wanted, at


PARTS = ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers')


def assert_exact(config, folder, points, wanted):
    """Runs killed at the points end, resumed, as the uninterrupted one."""
    for i, point in enumerate(points):
        cut = folder / f'cut{i}'
        assert run(config, cut, point=point) == -signal.SIGKILL, point
        assert run(config, cut, '--resume') == 0, point
        assert not list(cut.glob('*.part'))
        found = final(cut)
        assert found['meta']['iter'] == wanted['meta']['iter']
        for part in PARTS:
            assert_same(found.get(part), wanted.get(part), f'{point} {part}')
