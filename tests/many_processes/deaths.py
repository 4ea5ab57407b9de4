"""A rank that dies in the midst of a run."""

import os
import signal
import time
from pathlib import Path

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class DeathHook(Hook):
    """Ends rank 1 before iterations, each time once in the life of a job, however often it starts again.

    Args:
        deaths (dict[str, int]): In which iteration it dies by ``'kill'``, ``'fail'`` or ``'stall'`` (it stands still).
    """

    priority = 'VERY_HIGH'

    def __init__(self, deaths):
        self.deaths = deaths

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        for manner, at in self.deaths.items():
            # torchrun's own count of restarts is not the same on all machines
            died = Path(runner.work_dir, manner)
            if get_rank() == 1 and runner.iter == at and not died.exists():
                died.touch()
                getattr(self, manner)()

    def fail(self):
        raise ArithmeticError('rank 1 cannot go on')

    def kill(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def stall(self):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # torchrun waits half a minute for a process that lives on
        time.sleep(600)
