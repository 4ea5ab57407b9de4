"""OKDDip's setting, in which the paper compares shadow heads of three teachers (supplement, Table 5).

That every cell builds and steps is what test_distill_configs checks of all of them; here is what makes the setting.
"""

import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS

from analysis.collect import parse_name
from analysis.describe import describe
from shake_mm.cli.run_grid import trained_teachers

from .cells import CONFIGS

DATA = 'cifar100-okddip'
NETWORKS = ('vgg16', 'resnet110', 'wrn-20-8')
CELLS = ('baseline/baseline', 'shake/shake-one-head', 'shake/shake')


def _conv(inner, outer, size, bias=0):
    """A convolution and its batch norm."""
    return inner * outer * size**2 + bias * outer + 2 * outer


def _bottlenecks(blocks, factor=1):
    """Parameters of OKDDip's bottleneck ResNets: stem, three stages of widths 16, 32, 64, classifier."""
    total, inner = _conv(3, 16, 3), 16
    for width in (16, 32, 64):
        middle, outer = width * factor, 4 * width
        for i in range(blocks):
            total += _conv(inner, middle, 1) + _conv(middle, middle, 3) + _conv(middle, outer, 1)
            total += _conv(inner, outer, 1) if i == 0 else 0
            inner = outer
    return total + 256 * 100 + 100


def _vgg16():
    channels = [3, 64, 64, 128, 128, 256, 256, 256] + [512] * 6
    convolutions = sum(_conv(inner, outer, 3, bias=1) for inner, outer in zip(channels, channels[1:]))
    return convolutions + 2 * (512 * 512 + 512) + 512 * 100 + 100


@pytest.mark.parametrize('name, expected', list(zip(NETWORKS, (_vgg16(), _bottlenecks(12), _bottlenecks(2, factor=8)))))
def test_networks_are_okddips(name, expected):
    cfg = Config.fromfile(CONFIGS / f'baseline/{name}_{DATA}.py')
    with torch.device('meta'):
        network = MODELS.build(cfg.model)
        logits = network.eval()(torch.empty(1, 3, 32, 32), mode='tensor')
    assert logits.shape == (1, 100)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected
    assert parse_name(f'{name}_{DATA}', distilled=False) == ('', name, DATA)


@pytest.mark.parametrize('name', NETWORKS)
@pytest.mark.parametrize('cell', CELLS)
def test_cells(cell, name):
    """Three teachers from different seeds, 300 epochs of batches of 128."""
    path = CONFIGS / f'{cell}_3x{name}_{name}_{DATA}.py'
    cfg = Config.fromfile(path)
    assert parse_name(path.stem, distilled=True) == (cell.split('/')[1], f'3x{name}_{name}', DATA)
    assert [(config, seed) for _, config, seed in trained_teachers(cfg.model)] == [
        (f'shake_mm::baseline/{name}_{DATA}.py', seed) for seed in range(3)
    ]
    assert [teacher.checkpoint for teacher in cfg.model.teachers] == [
        f'work_dirs/{name}_{DATA}/seed{seed}/epoch_300.pth' for seed in range(3)
    ]
    assert cfg.model.student == Config.fromfile(CONFIGS / f'baseline/{name}_{DATA}.py').model
    assert cfg.train_cfg.max_epochs == 300 and cfg.param_scheduler.milestones == [150, 225]
    optimizer = dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    assert cfg.optim_wrapper.optimizer == optimizer
    assert {cfg.train_dataloader.batch_size, cfg.val_dataloader.batch_size, cfg.test_dataloader.batch_size} == {128}
    assert cfg.auto_scale_lr.base_batch_size == 128
    assert cfg.data_preprocessor.mean == pytest.approx([255 * v for v in (0.5071, 0.4865, 0.4409)])
    assert cfg.data_preprocessor.std == pytest.approx([255 * v for v in (0.2673, 0.2564, 0.2762)])


def test_one_head_learns_from_all_teachers():
    rows = describe(Config.fromfile(CONFIGS / f'shake/shake-one-head_3xvgg16_vgg16_{DATA}.py'))
    found = {row.term: (round(row.weight, 6), row.of.split(' ')[0], row.to.split(' ')[0]) for row in rows}
    assert found == {
        'task': (1, 'student', ''),
        'student_from_proxy': (1, 'student.head', 'proxy0.logits'),
        **{f'proxy_from_teacher{i}': (0.333333, 'proxy0.logits', f'teacher{i}.head') for i in range(3)},
        'proxy_from_student': (1, 'proxy0.logits', 'student.head'),
    }
