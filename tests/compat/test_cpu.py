"""Several processes on a machine without an accelerator."""

import os
import subprocess
import sys

import pytest
import torch
from mmengine.model import MMDistributedDataParallel

from shake_mm.compat import workarounds
from shake_mm.compat.workarounds import cpu

from .processes import COMPAT

DDP = """
import os
import torch
from mmengine.dist import all_reduce, get_backend, init_dist
from mmengine.model import MMDistributedDataParallel
init_dist('pytorch')
model = MMDistributedDataParallel(torch.nn.Linear(1, 1), device_ids=[int(os.environ['LOCAL_RANK'])])
model(torch.full((1, 1), 1.0 + int(os.environ['RANK']))).sum().backward()
assert model.module.weight.grad.item() == 1.5
assert get_backend() == 'gloo'
"""


@pytest.mark.skipif(torch.cuda.is_available(), reason='the workaround is for machines without a device')
@pytest.mark.parametrize(
    ('applied', 'problem'),
    [
        ('', 'torch.cuda.set_device(local_rank)'),
        ('workarounds.workaround_cpu_launch()', 'device_ids'),
        ('workarounds.workaround_cpu_launch(), workarounds.workaround_cpu_wrapper()', None),
    ],
)
def test_two_processes_on_cpu(tmp_path, applied, problem):
    script = tmp_path / 'script.py'
    script.write_text(f'{COMPAT}\n{applied}\n{DDP}')
    launch = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', '2', str(script)]
    env = {**os.environ, 'OMP_NUM_THREADS': '1'}
    result = subprocess.run(launch, capture_output=True, text=True, timeout=300, env=env)
    output = result.stdout + result.stderr
    if problem:
        assert result.returncode != 0 and problem in output
    else:
        assert result.returncode == 0, output
        assert output.count('gloo instead of nccl') == 1


def test_launch_is_left_alone_with_a_device(monkeypatch):
    import mmengine.dist.utils as utils

    for where, name in ((utils, '_init_dist_pytorch'), (MMDistributedDataParallel, '__init__')):
        function = getattr(where, name)
        monkeypatch.setattr(where, name, getattr(function, '__wrapped__', function))
    monkeypatch.setattr(cpu, 'get_device', lambda: 'cuda')
    assert not workarounds.workaround_cpu_launch() and not workarounds.workaround_cpu_wrapper()
    assert not hasattr(utils._init_dist_pytorch, '__wrapped__')
    assert not hasattr(MMDistributedDataParallel.__init__, '__wrapped__')
