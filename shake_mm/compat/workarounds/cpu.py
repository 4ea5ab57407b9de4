"""Several processes on machines without an accelerator."""

import atexit
from collections.abc import Callable
from functools import wraps
from typing import Any

import mmengine.dist
import torch
from mmengine.device import get_device
from mmengine.logging import print_log

from ..process_group import leave_process_group
from ..upstream import needs

LAUNCHERS = ('_init_dist_pytorch', '_init_dist_mpi', '_init_dist_slurm')


@needs(*(f'mmengine.dist.utils:{name}(backend)' for name in LAUNCHERS))
def workaround_cpu_launch() -> bool:
    """Let mmengine's launchers start where there is no device: no ``torch.cuda.set_device``, and gloo for nccl.

    ``_init_dist_pytorch`` and its neighbors in ``mmengine.dist.utils`` call ``torch.cuda.set_device`` on every machine
    that has none of the accelerators they know by name.

    A process that ends inside gloo's group may abort, so it leaves the group before Python is torn down.
    """
    from mmengine.dist import utils  # not yet an attribute of mmengine while it is being imported

    if get_device() != 'cpu' or hasattr(utils._init_dist_pytorch, '__wrapped__'):
        return False

    def on_cpu(init: Callable) -> Callable:
        @wraps(init)
        def init_dist(backend: str, *args: Any, **kwargs: Any) -> None:
            set_device = torch.cuda.set_device
            torch.cuda.set_device = lambda device: None
            try:
                init('gloo' if backend == 'nccl' else backend, *args, **kwargs)
            finally:
                torch.cuda.set_device = set_device
            atexit.register(leave_process_group)
            if backend == 'nccl' and mmengine.dist.is_main_process():
                print_log('There is no CUDA device: the processes communicate by gloo instead of nccl.', 'current')

        return init_dist

    for name in LAUNCHERS:
        setattr(utils, name, on_cpu(getattr(utils, name)))
    return True


@needs('mmengine.model:MMDistributedDataParallel.__init__(self, module)')
def workaround_cpu_wrapper() -> bool:
    """Let ``MMDistributedDataParallel`` wrap a model on the CPU: ``Runner.wrap_model`` always passes a device index."""
    from mmengine.model import MMDistributedDataParallel  # what it imports takes a second

    upstream = MMDistributedDataParallel.__init__
    if get_device() != 'cpu' or hasattr(upstream, '__wrapped__'):
        return False

    @wraps(upstream)
    def init(self: MMDistributedDataParallel, module: torch.nn.Module, *args: Any, **kwargs: Any) -> None:
        kwargs.pop('device_ids', None)
        upstream(self, module, *args, **kwargs)

    MMDistributedDataParallel.__init__ = init
    return True
