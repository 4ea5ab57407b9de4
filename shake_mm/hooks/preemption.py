"""Stop for SIGTERM without losing a step."""

import os
import os.path as osp
import signal
from collections.abc import Callable
from functools import cache, partial
from multiprocessing.util import Finalize
from typing import Any

import torch
from mmengine.dist import all_reduce, barrier, get_backend, get_world_size, is_main_process
from mmengine.hooks import Hook, LoggerHook

from ..atomic import write
from ..errors import UsageError
from ..loops import ExactTrainLoop
from ..registry import HOOKS
from ..utils import kill_data_workers

FILE = 'preempted.pth'
# EX_TEMPFAIL of sysexits.h: "the user is invited to retry". 143 is the status after SIGTERM if nothing was saved.
EXIT_CODE = 75


class Preempted(SystemExit):
    """The run was asked to stop and has saved itself; ends the process with status 75."""

    def __init__(self) -> None:
        super().__init__(EXIT_CODE)


@HOOKS.register_module()
class PreemptionHook(Hook):
    """Ends a run at SIGTERM, which clusters send before they take a machine away, with a checkpoint to resume from.

    The current step, or the running validation, is finished, ``preempted.pth`` is written into the work directory,
    ``last_checkpoint`` names it, and the process exits with status 75. ``--resume`` continues with the next batch. A
    second SIGTERM ends the process at once.

    All processes of a job stop at the same iteration. With gloo they agree on it in every iteration; with nccl, where
    asking would make every step wait for the device, only every ``interval`` iterations and at the end of an epoch.

    Args:
        interval (int, optional): Iterations between two agreements with nccl. Defaults to the interval of the run's
            ``LoggerHook``.
    """

    priority = 'LOWEST'

    def __init__(self, interval: int | None = None) -> None:
        self.interval = interval
        self._asked = False
        self._previous: Any = None

    def before_train(self, runner: Any) -> None:
        """Start to listen for SIGTERM."""
        if not isinstance(runner.train_loop, ExactTrainLoop):
            raise UsageError(
                'custom_hooks: PreemptionHook needs train_cfg.type=shake_mm.ExactTrainLoop, or the run cannot resume '
                'where it stops: leave both to --exact of tools/train.py.'
            )
        if self.interval is None:
            self.interval = next((hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)), 1)
        _spare_forks()
        self._previous = signal.signal(signal.SIGTERM, self._ask)
        runner.train_loop.at_end.callback(self._give_back)
        for loop in (runner.train_loop, runner.val_loop):
            if loop is not None:
                loop.dataloader.worker_init_fn = partial(_begin_worker, loop.dataloader.worker_init_fn)
        # Before Python ends its children itself, and waits for them; persistent workers outlive the training.
        Finalize(None, _end_workers, exitpriority=0)

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Stop after a step, but not while gradients are being accumulated."""
        due = self.every_n_inner_iters(batch_idx, self.interval) or self.end_of_epoch(
            runner.train_dataloader, batch_idx
        )
        if self._agreed(due) and not _accumulates(runner.optim_wrapper):
            self._stop(runner, dict(epoch=runner.epoch, iter=runner.iter + 1))

    def after_val_epoch(self, runner: Any, metrics: Any = None) -> None:
        """Stop after a validation, unless it was the last."""
        if runner.epoch < runner.max_epochs and self._agreed(due=True):
            self._stop(runner, dict(epoch=runner.epoch, iter=runner.iter))

    def _ask(self, number: int, frame: Any) -> None:
        self._asked = True
        self._give_back()

    def _give_back(self) -> None:
        """Restore the earlier handler of SIGTERM."""
        signal.signal(signal.SIGTERM, self._previous or signal.SIG_DFL)

    def _agreed(self, due: bool) -> bool:
        """Whether any process was asked to stop; between two agreements the answer is no."""
        if get_world_size() == 1:
            return self._asked
        if not (due or get_backend() == 'gloo'):
            return False
        flag = torch.tensor([int(self._asked)])
        all_reduce(flag, 'max')
        return bool(flag)

    def _stop(self, runner: Any, meta: dict) -> None:
        runner.logger.warning(f'SIGTERM: {FILE} is written at iteration {meta["iter"]}; go on with --resume')
        runner.save_checkpoint(runner.work_dir, FILE, meta=meta, by_epoch=False)
        if is_main_process():
            write(osp.join(runner.work_dir, 'last_checkpoint'), osp.join(runner.work_dir, FILE).encode())
        barrier()  # launchers end everything as soon as one process has ended
        raise Preempted


@cache
def _spare_forks() -> None:
    """Give SIGTERM its usual meaning in what a run forks, from the first moment on.

    The pools of metrics are ended by it, and waited for. It is held back during a fork, since Python drops
    what arrives before the child is set up.
    """

    def listening() -> bool:
        return isinstance(getattr(signal.getsignal(signal.SIGTERM), '__self__', None), PreemptionHook)

    def hold(how: int) -> None:
        if listening():
            signal.pthread_sigmask(how, {signal.SIGTERM})

    def in_child() -> None:
        if listening():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    os.register_at_fork(
        before=partial(hold, signal.SIG_BLOCK),
        after_in_parent=partial(hold, signal.SIG_UNBLOCK),
        after_in_child=in_child,
    )


def _accumulates(wrapper: Any) -> bool:
    """Whether gradients wait for an update."""
    return bool(getattr(wrapper, '_inner_count', 0) % getattr(wrapper, '_accumulative_counts', 1))


def _begin_worker(init: Callable[[int], None] | None, worker: int) -> None:
    """Keep a data worker alive: clusters and launchers signal it too, and the last step may need its samples."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if init is not None:
        init(worker)


def _end_workers() -> None:
    """Kill the data workers that are left: they ignore the SIGTERM by which Python would end them."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler would take their end for a failure
    kill_data_workers()
