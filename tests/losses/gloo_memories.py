"""Worker of test_crd_distributed: three steps of CRDLoss on this process's share of fixed batches.

``python gloo_memories.py FOLDER``; every process saves its losses and the module's state as ``RANK_of_WORLD.pth``.
"""

import os
import sys

import torch
from mmengine.dist import get_dist_info, init_dist
from torch.nn import functional as F

import shake_mm  # noqa: F401
from shake_mm.losses import CRDLoss


def main(folder):
    """Build with a seed of the process's own, step, save."""
    if 'RANK' in os.environ:
        init_dist('pytorch')
    rank, world = get_dist_info()
    torch.manual_seed(rank)
    loss = CRDLoss(31, 6).double()
    generator = torch.Generator().manual_seed(7)
    values = []
    for _ in range(3):
        student, teacher = F.normalize(torch.randn(2, 8, 6, generator=generator, dtype=torch.float64), dim=2)
        idx = torch.randint(31, (8, 5), generator=generator)
        own = torch.randint(31, (8,), generator=generator)
        own[5] = own[1]  # a sample that both processes hold
        mine = slice(rank * 8 // world, (rank + 1) * 8 // world)
        values.append(loss(student[mine], teacher[mine], idx[mine], own[mine]))
    loss.eval()
    if rank == 0:  # evaluation waits for no other process
        loss(student, teacher, idx, own)
    torch.save(dict(values=torch.stack(values), **loss.state_dict()), f'{folder}/{rank}_of_{world}.pth')


if __name__ == '__main__':
    main(sys.argv[1])
