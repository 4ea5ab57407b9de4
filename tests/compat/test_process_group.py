"""The end of a process group, with a real one of gloo."""

import weakref

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from shake_mm.compat.process_group import leave_process_group


class Runner:
    """Lies in a reference cycle, as mmengine's."""

    def __init__(self, model):
        self.itself, self.model = self, model


def test_the_wrapper_is_gone_before_the_process_group(monkeypatch):
    """Else a process may stand still or abort: what lies in reference cycles has to be collected first."""
    left, leave = [], distributed.destroy_process_group
    monkeypatch.setattr(distributed, 'destroy_process_group', lambda: left.append(wrapper()) or leave())
    distributed.init_process_group('gloo', store=distributed.HashStore(), rank=0, world_size=1)
    runner = Runner(DistributedDataParallel(torch.nn.Linear(2, 1)))
    runner.model(torch.ones(1, 2)).sum().backward()
    wrapper = weakref.ref(runner.model)
    del runner
    leave_process_group()
    leave_process_group()  # where there is none, there is nothing to leave
    assert left == [None] and not distributed.is_initialized()
