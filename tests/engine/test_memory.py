"""A process that trains for long stays as large as it was."""

import copy
import gc
from pathlib import Path

import pytest
import torch
from mmengine.optim import OptimWrapper

from .test_lifecycle import PAIR, family, shadowed

BEGIN, END = 200, 1000
SLACK = 8
"""Megabytes that an allocator may take between the two: a leak of a single detector's logits is many times more."""

RUNS = {
    'a dense detector with a shadow': lambda: shadowed('retinanet'),
    'a two-stage detector with a shadow': lambda: shadowed('faster_rcnn'),
    'a shadow inside the student': lambda: family(f'shake/shake-sbn-w50_{PAIR}.py'),
}


def megabytes():
    gc.collect()
    line = next(line for line in Path('/proc/self/status').read_text().splitlines() if line.startswith('VmRSS'))
    return int(line.split()[1]) / 1024


@pytest.mark.slow
@pytest.mark.skipif(not Path('/proc/self/status').exists(), reason='the memory of a process is read from /proc')
@pytest.mark.parametrize('run', RUNS.values(), ids=RUNS)
def test_a_thousand_steps_take_no_memory(run):
    model, batches = run()
    model.train()
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1e-4))
    for step in range(1, END + 1):
        model.train_step(copy.deepcopy(batches[step % len(batches)]), wrapper)
        if step == BEGIN:
            before = megabytes()
    assert megabytes() - before < SLACK
