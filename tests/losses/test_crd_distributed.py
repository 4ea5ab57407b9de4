"""CRDLoss in two gloo processes against one."""

import sys
from pathlib import Path

import torch

from ..engine.test_distributed import free_port, launch
from .gloo_memories import main

WORKER = Path(__file__).with_name('gloo_memories.py')


def test_two_processes_remember_the_joint_batch(tmp_path):
    torchrun = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2', f'--master_port={free_port()}']
    result = launch([*torchrun, WORKER, tmp_path])
    assert result.returncode == 0, result.stderr[-2000:]
    main(tmp_path)
    zero, one, joint = (torch.load(tmp_path / f'{name}.pth') for name in ('0_of_2', '1_of_2', '0_of_1'))
    for key in ('memory_student', 'memory_teacher', 'mean_score'):
        assert torch.equal(zero[key], one[key]), key
        torch.testing.assert_close(zero[key], joint[key], rtol=1e-12, atol=1e-14)
    assert not torch.equal(zero['values'], one['values'])
    torch.testing.assert_close((zero['values'] + one['values']) / 2, joint['values'], rtol=1e-12, atol=0)
