"""Runs that share a teacher, by ``tools/train.py --exact --share-teacher`` in processes forked from the tests'."""

import multiprocessing
import os
import signal
import sys
from contextlib import suppress
from typing import NamedTuple

import mmengine.runner.runner
from mmengine.hooks import Hook
from mmengine.runner import Runner

from shake_mm.members import make_group
from tools.train import main as train_main


class Passes(Hook):
    """Notes the iterations in which the teachers' networks run, and ends its process in one of them.

    Args:
        file (Path): A line for each pass.
        point (tuple[int, int], optional): The iteration in which a pass ends the process, and by which signal.
    """

    priority = 'LOW'

    def __init__(self, file, point):
        self.file, self.point, self.step = file, point, None

    def before_train(self, runner):
        for member in runner.model.members.frozen.values():
            member.network.backbone.register_forward_pre_hook(self.note)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.step = runner.iter

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.step = None

    def note(self, module, args):
        if self.step is not None:
            with open(self.file, 'a') as file:
                file.write(f'{self.step}\n')
            if self.point is not None and self.point[0] == self.step:
                os.kill(os.getpid(), self.point[1])


class Ended(NamedTuple):
    """How runs ended.

    Args:
        codes (list[int]): Exit statuses.
        errors (list[str]): What each wrote to stderr.
        passes (list[int]): Iterations in which a teacher's network ran, in any of them, in their order.
    """

    codes: list[int]
    errors: list[str]
    passes: list[int]


def train_together(configs, folder, points=None, shared=True, options=(), patience=None):
    """Train configs at the same time, into ``FOLDER/0``, ``FOLDER/1`` and so on.

    Args:
        configs (list[Path]): The config files.
        folder (Path): Is made.
        points (dict, optional): By number of a run, the iteration and the signal of :class:`Passes`.
        shared (bool): Whether they share teachers. Defaults to True.
        options (sequence of str): Of the command line.
        patience (float, optional): Seconds to wait for a run that stands still.
    """
    folder.mkdir()
    (seats := folder / 'seats').mkdir()
    handles = make_group(seats, [f'run {number}' for number in range(len(configs))])
    processes = []
    for number, config in enumerate(configs):
        argv = [str(config), '--work-dir', str(folder / str(number)), '--exact', *options]
        argv += ['--share-teacher', str(seats / str(number))] if shared else []
        others = [handle for handle in handles if handle != handles[number]]
        args = (argv, folder, number, others, (points or {}).get(number), patience)
        processes.append(multiprocessing.get_context('fork').Process(target=_train, args=args))
        processes[-1].start()
    for handle in handles:
        os.close(handle)
    stands = {number for number, point in (points or {}).items() if point[1] == signal.SIGSTOP}
    for number, process in enumerate(processes):
        if number not in stands:
            process.join()
    for number in stands:
        with suppress(ProcessLookupError):
            os.kill(processes[number].pid, signal.SIGKILL)
        processes[number].join()
    errors = [(folder / f'{number}.err').read_text() for number in range(len(configs))]
    noted = (folder / 'passes').read_text().split()
    return Ended([process.exitcode for process in processes], errors, sorted(map(int, noted)))


def _train(argv, folder, number, others, point, patience):
    os.setsid()
    for handle in others:
        os.close(handle)
    sys.stderr = open(folder / f'{number}.err', 'w', buffering=1)
    mmengine.runner.runner.collect_env = dict  # which asks compilers
    if patience is not None:
        from shake_mm.members import exchange

        exchange.PATIENCE = patience
    upstream = Runner.register_hooks

    def register(self, *args, **kwargs):
        upstream(self, *args, **kwargs)
        self.register_hook(Passes(folder / 'passes', point))

    Runner.register_hooks = register
    sys.exit(train_main(argv))
