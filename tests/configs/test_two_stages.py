"""AB and FT: their learning rates epoch by epoch, and what AB's first stage trains, are the CRD benchmark's."""

from functools import cache
from itertools import groupby, product

import pytest
import torch
from mmengine.config import Config

from shake_mm.engine.stages import build_stages, resolve_bodies, total_epochs
from shake_mm.grid.run import Run
from shake_mm.registry import MODELS

from ..support.points import run
from .cells import CONFIGS, TABLES, cell_path

FAST = [(0.05, 180), (0.005000000000000001, 30), (0.0005000000000000001, 30), (5.0000000000000016e-05, 30)]
LIGHT = [(0.01, 180), (0.001, 30), (0.0001, 30), (1e-05, 30)]
SLOW = [(0.010000000000000002, 30), (0.05000000000000001, 150), *FAST[1:]]
FAST_DIGITS = [(0.05, 15), (0.005000000000000001, 4), (0.0005000000000000001, 2), (5.0000000000000016e-05, 2)]
SLOW_DIGITS = [(0.010000000000000002, 3), (0.05000000000000001, 12), *FAST_DIGITS[1:]]
"""Rates and for how many epochs they hold, as version 0.1 wrote them into each schedule."""


def expected(method, pair, data):
    if data == 'digits100':
        return SLOW_DIGITS if method == 'ft' else FAST_DIGITS
    if TABLES.CRD_NETWORKS[pair.split('_')[1]].light:
        return LIGHT
    return SLOW if method == 'ft' and not pair.startswith('vgg') else FAST


def cells():
    """Every cell of both methods; those whose rates a cell before them has too are slow tests."""
    kinds = set()
    for method, data in product(('ab', 'ft'), ('cifar100', 'digits100')):
        for pair in map('_'.join, TABLES.DATA[data].pairs):
            kind = (method, *expected(method, pair, data))
            yield pytest.param(method, pair, data, marks=[pytest.mark.slow] if kind in kinds else [])
            kinds.add(kind)


@cache
def watched(text, folder):
    """A run by the schedule of a config."""
    cfg = Config.fromstring(text, '.py')
    parts = {key: cfg[key] for key in ('train_cfg', 'optim_wrapper', 'param_scheduler')}
    return run(cfg.stages, folder, **parts)[1]


@pytest.mark.parametrize('method, pair, data', cells())
def test_learning_rates_are_as_ever(method, pair, data, tmp_path_factory):
    cfg = Config.fromfile(cell_path(method, pair, data))
    parts = {key: cfg[key] for key in ('train_cfg', 'optim_wrapper', 'param_scheduler')}
    folder = tmp_path_factory.getbasetemp() / 'rates'
    seen = watched(Config(dict(parts, stages=cfg.model.stages)).dump(), folder)
    known = expected(method, pair, data)
    assert len(seen.rates) == 2 * sum(number for _, number in known) == 2 * total_epochs(cfg)
    assert [(rate, len(list(same)) / 2) for rate, same in groupby(seen.rates)] == known
    begins = 30 if data == 'cifar100' else 3
    assert seen.stages == [int(i >= 2 * begins) for i in range(len(seen.stages))]


def test_the_last_checkpoint_counts_the_added_epochs(tmp_path):
    """Of runs that a grid looks for."""
    run_of_ab = Run('AB', cell_path('ab', 'resnet14_resnet8', 'digits100'), tmp_path, seed=0)
    assert run_of_ab.checkpoint.name == 'epoch_23.pth'
    shorter = Run('AB', run_of_ab.config, tmp_path, seed=0, options=('model.stages.init.until=1',))
    assert shorter.checkpoint.name == 'epoch_21.pth'


BODIES = {
    'mobilenetv2': ('conv1.', 'blocks.'),
    'shufflev2': ('conv1.', 'bn1.', 'layer1.', 'layer2.', 'layer3.'),
    **{name: ('conv1.', 'block1.', 'block2.', 'block3.') for name in ('wrn-16-2', 'wrn-40-1')},
}
"""What AB initializes, where it is less than the whole backbone: the layers before the last convolution, and of wide
ResNets those before the last batch norm, as the benchmark's ``get_feat_modules`` lists them."""

STUDENTS = sorted({(data, pair[1]) for data in ('cifar100', 'digits100') for pair in TABLES.DATA[data].pairs})


@pytest.mark.parametrize('data, name', STUDENTS)
def test_the_body_is_what_the_levels_depend_on(data, name):
    """Of every student, by what AB's first stage trains, and by the gradients of its features."""
    with torch.device('meta'):
        network = MODELS.build(Config.fromfile(CONFIGS / f'baseline/{name}_{data}.py').model)
    config = Config.fromfile(cell_path('ab', 'resnet110_resnet20')).model.stages
    init, _ = resolve_bodies(build_stages(config), {'student': network})
    names = [f'student.{key}' for key, _ in network.named_parameters()]
    prefixes = tuple(f'student.backbone.{part}' for part in BODIES.get(name, ('',)))
    trained = {key for key in names if init.trains(key)}
    assert trained == {key for key in names if key.startswith(prefixes)} and init.trains('terms.ab1.connector.0.weight')
    last = {'student.backbone.bn1.weight', 'student.backbone.bn1.bias'} if 'wrn' in name else set()
    assert reached(network) == trained | last


def test_the_last_batch_norm_of_a_wide_resnet_stays_as_it_is():
    """AB's loss of its last level, where the benchmark has the network in evaluation mode but for what it trains."""
    cfg = Config.fromfile(cell_path('ab', 'wrn-40-2_wrn-16-2')).model
    cfg.teachers = [MODELS.build(Config.fromfile(CONFIGS / 'baseline/wrn-40-2_cifar100.py').model)]
    model = MODELS.build(cfg)
    model.init_weights()
    model.double().enter_stage(0)
    model.train()
    student, teacher = model.student.backbone, model.members.frozen['teacher0'].network.backbone
    levels = {}
    for side, network in (('s', student), ('t', teacher)):
        network.block3.register_forward_hook(lambda module, args, out, side=side: levels.update({side: out}))
    assert student.block3.layer[0].bn1.training and not student.bn1.training

    losses = model(torch.randn(4, 3, 32, 32, dtype=torch.float64), mode='loss')
    s, t = (levels[side] / (1 + 1e-5) ** 0.5 for side in 'st')
    s = s if s.shape == t.shape else model.terms['ab_f3'].connector(s)
    side = 2.0 * (t > 0) - 1
    wanted = ((1 - side * s).clamp(min=0) ** 2).sum() / 4 * 3 / 1000
    torch.testing.assert_close(losses['loss_ab_f3'], wanted, rtol=1e-12, atol=0)
    assert (student.bn1.running_mean == 0).all() and (student.bn1.running_var == 1).all()

    model.enter_stage(1)
    model.train()
    assert student.bn1.training and student.bn1.weight.requires_grad


def reached(network):
    """The parameters that the features at the tap points depend on."""
    kept = []
    for point in network.backbone.tap_points.values():
        network.get_submodule(f'backbone.{point}').register_forward_hook(lambda module, args, out: kept.append(out))
    network.backbone(torch.empty(2, 3, 32, 32, device='meta'))
    parameters = dict(network.named_parameters())
    grads = torch.autograd.grad([out.sum() for out in kept], parameters.values(), allow_unused=True)
    return {f'student.{key}' for key, grad in zip(parameters, grads, strict=True) if grad is not None}
