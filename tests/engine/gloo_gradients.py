"""Worker of test_distributed: gradients of one SHAKE step on this process's share of a fixed batch.

``python gloo_gradients.py OUT TEACHER0 TEACHER1``; under a launcher every process takes its share of the batch, the
model is wrapped without ``find_unused_parameters``, and rank 0 saves what the wrapper averaged. With ``WEIGHTING=aekd``
in the environment it saves the weights of the teachers, too.
"""

import os
import sys

import torch
from mmengine.dist import get_dist_info, init_dist
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import DefaultScope
from mmpretrain.structures import DataSample

import shake_mm  # noqa: F401
from shake_mm.registry import MODELS


def network(width):
    """A classifier without BatchNorm: LeNet on one channel, and a linear head."""
    return dict(
        type='ImageClassifier',
        backbone=dict(type='LeNet5'),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(
            type='LinearClsHead',
            num_classes=5,
            in_channels=120,
            init_cfg=dict(type='Normal', layer='Linear', std=width),
        ),
    )


def main(out, *teachers, weighting='mean'):
    """Build, step, save."""
    distributed = 'RANK' in os.environ
    if distributed:
        init_dist('pytorch')
    rank, world = get_dist_info()
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(
            dict(
                type='shake_mm.SHAKE',
                student=network(0.2),
                teachers=[dict(config=network(0.2), checkpoint=path) for path in teachers],
                lam=0.3,
                tau=2.0,
                weighting=weighting,
            )
        )
        model.init_weights()
    model = model.double().train()
    inputs = torch.randn(8, 1, 32, 32, dtype=torch.float64)
    labels = torch.randint(5, (8,))
    mine = slice(rank * 8 // world, (rank + 1) * 8 // world)
    samples = [DataSample().set_gt_label(int(label)) for label in labels[mine]]
    run = MMDistributedDataParallel(model, device_ids=[rank], find_unused_parameters=False) if distributed else model
    losses = run(inputs[mine], samples, mode='loss')
    model.parse_losses(losses)[0].backward()
    if rank == 0:
        weights = {name: value for name, value in losses.items() if name.startswith('weight_')}
        torch.save({**weights, **{name: p.grad for name, p in model.named_parameters()}}, out)


if __name__ == '__main__':
    main(*sys.argv[1:], weighting=os.environ.get('WEIGHTING', 'mean'))
