"""Worker of the tests of optimizers: two steps on this process's share of a fixed batch; rank 0 saves the student.

``python -m tests.optim.gloo_momenta OUT TEACHER KIND``; under a launcher every process takes its share of the batch.
"""

import os
import sys

import torch
from mmengine.dist import get_dist_info, init_dist
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmpretrain.structures import DataSample
from torch import nn

import shake_mm  # noqa: F401
from shake_mm.registry import MODELS

from ..engine.gloo_gradients import network

WRAPPERS = {
    'momenta': dict(
        type='shake_mm.TwoMomentaOptimWrapper',
        optimizer=dict(type='shake_mm.TwoMomentaSGD', lr=0.05, momentum=0.8, delta=0.1, weight_decay=1e-3),
    ),
    'by loss': dict(
        constructor='shake_mm.OptimizersByLoss',
        main=dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.8, weight_decay=1e-3)),
        hint=dict(optimizer=dict(type='SGD', lr=0.01), losses=['loss_hint']),
    ),
}


class Pass(nn.Module):
    """In place of a preprocessor: the batch as it is."""

    def forward(self, data, training):
        """Return the batch."""
        return data


def main(out, teacher, kind='momenta'):
    """Build, take two steps, save."""
    distributed = 'RANK' in os.environ
    if distributed:
        init_dist('pytorch')
    rank, world = get_dist_info()
    torch.manual_seed(0)
    hint = dict(
        of='student.pool', to='teacher0.pool', connector=dict(type='Embedding', in_shape=(120,), out_channels=120)
    )
    hint |= dict(loss=dict(type='FitNetsLoss'))
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(
            dict(
                type='shake_mm.KD',
                student=network(0.2),
                teachers=[dict(config=network(0.2), checkpoint=teacher)],
                terms=dict(hint=hint),
            )
        )
        model.init_weights()
    model = model.double().train()
    model.data_preprocessor = Pass()
    wrapper = build_optim_wrapper(model, WRAPPERS[kind])
    run = MMDistributedDataParallel(model, device_ids=[rank], find_unused_parameters=False) if distributed else model
    mine = slice(rank * 8 // world, (rank + 1) * 8 // world)
    for _ in range(2):
        inputs, labels = torch.randn(8, 1, 32, 32, dtype=torch.float64), torch.randint(5, (8,))
        samples = [DataSample().set_gt_label(int(label)) for label in labels[mine]]
        run.train_step(dict(inputs=inputs[mine], data_samples=samples), wrapper)
    if rank == 0:
        torch.save({name: p.detach() for name, p in model.named_parameters()}, out)


if __name__ == '__main__':
    main(*sys.argv[1:])
