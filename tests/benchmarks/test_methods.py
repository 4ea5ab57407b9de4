"""The price list of the methods: its plain loops compute the same losses, and it goes on where it stopped."""

import json

import pytest
import torch

from benchmarks import methods
from benchmarks.cells import stage_models
from benchmarks.plain_methods import plain_loop
from benchmarks.training import make_optimizer
from shake_mm import cli

CELLS, SCENES = methods.cells(), methods.scenes()
FAST = ('kd', 'ofd', 'one')
"""One of logits alone; one that taps features before a ReLU; one of branches, connectors and scaled gradients."""
FAST_SCENES = (
    'crosskd_gfl-r18-w32_gfl-r18-w8_digit-scenes',  # every level's pass of a tower, and what the assigner knows
    'freekd-unlabeled_retinanet-r18-w32_retinanet-r18-w8_digit-scenes',  # stages, one without labels
    'shake_faster-rcnn-r18-w32_faster-rcnn-r18-w8_digit-scenes',  # the student's boxes, in the teacher's head
    'kddetr_deformable-detr-r18-w32_deformable-detr-r18-w8_digit-scenes',  # a decoder that runs again
    'cwd_fcn-r18-w16_fcn-r18-w8_digit-masks',  # a segmentor, which has auxiliary heads
)


def test_every_method_is_timed():
    """But for DeiT's and tokens, variants of other numbers of epochs, levels or terms, and further heads."""
    files = {path.stem for path in (CELLS['kd'].path.parents[1] / '_base_/methods').glob('*.py')}
    timed = CELLS.keys() | {methods.method_of(cell.path) for cell in SCENES.values()}
    transformers = {'deit', 'kd_deit', 'shake_deit', 'shake_deit_one_head', 'cosine_tokens'}
    variants = {'ab', 'dkd', 'ft', 'kd_dagger_60', 'kd_eskd', 'rco', 'review'}  # the digits run those of fewer epochs
    variants |= {'dkd_b2', 'dkd_b6', 'ft_full_rate', 'kd_eskd33', 'ofd_in1k', 'review_w1', 'review_w8', 'shake_release'}
    assert files - timed == transformers | variants and len(CELLS) >= 60 and len(SCENES) >= 35


@pytest.mark.parametrize('name', [pytest.param(n, marks=[pytest.mark.slow] * (n not in FAST)) for n in CELLS])
def test_the_plain_loop_computes_the_same(name):
    """Every loss by its name, in every stage, and after a step of both again."""
    compare(CELLS[name].path, 8, 16)


@pytest.mark.parametrize('name', [pytest.param(n, marks=[pytest.mark.slow] * (n not in FAST_SCENES)) for n in SCENES])
def test_the_plain_loop_of_scenes_computes_the_same(name):
    """Likewise of detectors and segmentors, whose own losses are lists over levels."""
    compare(SCENES[name].path, 2, 128)


def compare(path, batch_size, size):
    """Hold a config's plain loop to our losses in two steps, whose random draws are the same."""
    cfg = cli.load_config(str(path), None)
    for ours, plain in zip(*(stage_models(cfg, batch_size, size, 'cpu') for _ in range(2))):
        loop, model = plain_loop(plain.model, plain.data, 'cpu'), ours.model
        optimizer = make_optimizer(model)
        for step in range(2):
            batch = model.data_preprocessor(ours.data, True)
            torch.manual_seed(step)
            losses = model.loss(batch['inputs'], batch['data_samples'])
            torch.manual_seed(step)
            found = loop.losses()
            wanted = {key: value for key, value in losses.items() if 'loss' in key}
            assert wanted.keys() == {key for key in found if 'loss' in key}
            for key, value in wanted.items():
                # what rounding makes of the first step is in the second's losses
                torch.testing.assert_close(found[key], value, rtol=(1e-4, 1e-3)[step], atol=1e-6, msg=f'{key}, {step}')
            for total, optimizers in ((model.parse_losses(losses)[0], optimizer), (loop.total(found), loop.optimizer)):
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
    scene = ['--scenes', '--only', 'cwd_fcn-r18-w16_fcn-r18-w8_digit-masks', *options[:-3]]
    assert methods.main(scene) == 0
    assert methods.main(['--only', 'at', *options, '--threads', '2']) != 0
    assert 'other options' in capsys.readouterr().err
    assert methods.main(['--only', 'nobody', *options]) != 0
    assert "'nobody' has no cell" in capsys.readouterr().err
