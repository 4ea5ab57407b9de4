"""The price list of the methods: its plain loops compute the same losses, and it goes on where it stopped."""

import json

import pytest
import torch

from benchmarks import methods
from benchmarks.cells import stage_models
from benchmarks.plain_methods import MethodLoop
from benchmarks.training import make_optimizer
from shake_mm import cli

CELLS = methods.cells()
FAST = ('kd', 'ofd', 'one')
"""One of logits alone; one that taps features before a ReLU; one of branches, connectors and scaled gradients."""


def test_every_method_of_classifiers_is_listed():
    """But for those of detectors and segmentors, of DeiT's token, and of other numbers of epochs or levels."""
    files = {path.stem for path in (CELLS['kd'].parents[1] / '_base_/methods').glob('*.py')}
    rest = {
        name for name in files - CELLS.keys() if not name.endswith(('_det', '_det_w10', '_two_stage', '_seg', 'deit'))
    }
    elsewhere = {'crosskd', 'crosskd_atss', 'crosskd_fcos', 'crosskd_gfl', 'ld', 'ld_cls'}  # of other tasks
    elsewhere |= {'kd_masks', 'cosine_tokens', 'shake_deit_one_head'}
    elsewhere |= {'detrdistill', 'detrdistill_softmax', 'maskd', 'kd_detr', 'kd_detr_softmax'}
    elsewhere |= {'freekd', 'freekd_unlabeled'}
    elsewhere |= {'shake_linear', 'shake_tower'}  # of detectors
    variants = {'ab', 'dkd', 'ft', 'kd_dagger_60', 'kd_eskd', 'rco', 'review'}  # the digits run those of fewer epochs
    variants |= {'dkd_b2', 'dkd_b6', 'ft_full_rate', 'kd_eskd33', 'ofd_in1k', 'review_w1', 'review_w8', 'shake_release'}
    assert rest - elsewhere <= variants and len(CELLS) >= 60


@pytest.mark.parametrize('name', [pytest.param(n, marks=[pytest.mark.slow] * (n not in FAST)) for n in CELLS])
def test_the_plain_loop_computes_the_same(name):
    """Every loss by its name, in every stage, and after a step of both again."""
    cfg = cli.load_config(str(CELLS[name]), None)
    for ours, plain in zip(stage_models(cfg, 8, 16, 'cpu'), stage_models(cfg, 8, 16, 'cpu')):
        loop, model = MethodLoop(plain.model, plain.data, 'cpu'), ours.model
        optimizer = make_optimizer(model)
        for step in range(2):
            batch = model.data_preprocessor(ours.data, True)
            torch.manual_seed(step)
            losses = model.loss(batch['inputs'], batch['data_samples'])
            torch.manual_seed(step)
            found = loop.losses()
            wanted = {key: value for key, value in losses.items() if 'loss' in key}
            assert wanted.keys() <= found.keys() and len(wanted) == len([key for key in found if 'loss' in key])
            for key, value in wanted.items():
                torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-6, msg=f'{key}, step {step}')
            for total, optimizers in ((sum(wanted.values()), optimizer), (loop.total(found), loop.optimizer)):
                total.backward()
                optimizers.step()
                optimizers.zero_grad()


def test_a_tiny_budget(tmp_path, capsys):
    """A row a method, the file after each, and nothing anew where it was left."""
    out = tmp_path / 'methods.json'
    options = '--rounds 1 --steps 1 --warmup 0 --batch-size 4'.split()
    options += ['--out', str(out), '--resume']
    assert methods.main(['--only', 'at', *options]) == 0
    first = json.loads(out.read_text())['methods']
    assert first.keys() == {'at'} and all(0 < low <= median <= high for median, low, high in first['at'].values())
    assert methods.main(['--only', 'at', 'kd', *options]) == 0
    both = json.loads(out.read_text())['methods']
    assert both.keys() == {'at', 'kd'} and both['at'] == first['at']
    told = capsys.readouterr().out
    assert 'above 1.05' in told and 'over the plain loop' in told
    other = ['--only', 'scalekd', '--image-size', '32', *options[:-3]]  # its connectors know the size of the map
    assert methods.main(other) == 0
    assert methods.main(['--only', 'at', *options, '--threads', '2']) != 0
    assert 'other options' in capsys.readouterr().err
    assert methods.main(['--only', 'nobody', *options]) != 0
    assert "'nobody' has no cell" in capsys.readouterr().err
