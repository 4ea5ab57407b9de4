"""Runs that are killed (SIGKILL) at drawn points, with two data workers and random crops, end as if they were not."""

import signal

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import CheckpointHook

from .configs.cells import CONFIGS, shortened
from .support.kills import PARTS, Point, assert_exact, assert_same, draw, final, prepared, run
from .support.runs import run_config
from .test_detection_run import prepare

CROP = [dict(type='RandomCrop', crop_size=16, padding=2), dict(type='PackInputs')]
METHODS = (
    'baseline kd shake dml crd ab ft shake-crd shake-sbn shake-fusion shake-dropblock shake-mixup kd-dagger'.split()
)
SAMPLE = ('shake', 'dml', 'crd', 'ft', 'shake-fusion')
"""What the fast lane kills: a proxy, peers, memories, stages, what proxies keep."""


@pytest.fixture
def tiny(shake, make_classifier, tmp_path):
    """The smallest run of a method: 8 iterations in 2 epochs."""

    def tiny(method, **changes):
        model = shake if method == 'shake' else dict(type='shake_mm.Baseline', student=make_classifier(6, classes=100))
        cfg = run_config(model, tmp_path, epochs=2, **changes)
        cfg.train_dataloader.dataset.pipeline = CROP
        cfg.pop('work_dir')
        return prepared(cfg, tmp_path / 'config.py')

    return tiny


@pytest.mark.parametrize('method', ['baseline', 'shake'])
def test_a_killed_run_ends_as_the_whole_one(tiny, tmp_path, method):
    """Inside a step and while the second checkpoint is written; an average of the weights goes along."""
    config = tiny(method, custom_hooks=[dict(type='EMAHook', momentum=0.1), dict(type='shake_mm.MemberEvalHook')])
    assert run(config, tmp_path / 'whole') == 0
    wanted = final(tmp_path / 'whole')
    assert wanted.keys() >= set(PARTS) and wanted['meta']['iter'] == 8
    points = [Point('update', 4), Point('draft', 6)] if method == 'shake' else [Point('step', 6), Point('renamed', 3)]
    assert_exact(config, tmp_path, points, wanted)


def test_the_seed_that_chance_chose_is_kept(tiny, tmp_path):
    """Its order and its draws are the resumed run's too: it equals a whole run of that seed."""
    config = tiny('baseline', randomness=dict(seed=None))
    assert run(config, tmp_path / 'cut', point=Point('batch', 5)) == -signal.SIGKILL
    assert run(config, tmp_path / 'cut', '--resume') == 0
    found = final(tmp_path / 'cut')
    assert run(config, tmp_path / 'whole', '--cfg-options', f'randomness.seed={found["meta"]["seed"]}') == 0
    for part in PARTS:
        assert_same(found.get(part), final(tmp_path / 'whole').get(part), part)


def test_sigterm_saves_and_exits_with_75(tiny, tmp_path):
    """In the midst of the second epoch; the resumed run is the whole one."""
    config, cut = tiny('shake'), tmp_path / 'cut'
    assert run(config, cut, point=Point('batch', 4), number=signal.SIGTERM) == 75
    assert (cut / 'last_checkpoint').read_text().endswith('preempted.pth')
    stopped = final(cut)
    assert (stopped['meta']['epoch'], stopped['meta']['iter']) == (1, 5)
    assert run(config, cut, '--resume') == 0 == run(config, tmp_path / 'whole')
    for part in PARTS:
        assert_same(final(cut).get(part), final(tmp_path / 'whole').get(part), part)


@pytest.mark.parametrize('moment', ['best', 'best whole'])
def test_killed_while_the_best_checkpoint_is_written(tiny, tmp_path, monkeypatch, moment):
    """The earlier best one is whole, the run ends as an uninterrupted one, and no more than one best one is left."""
    monkeypatch.setattr(CheckpointHook, 'rule_map', dict.fromkeys(('greater', 'less'), lambda new, old: True))
    cfg = Config.fromfile(tiny('baseline'))
    cfg.default_hooks.checkpoint.update(save_best='accuracy/top1', by_epoch=True, interval=1)
    cfg.train_cfg.val_interval = 1
    cfg.dump(config := tmp_path / 'config.py')
    cut, first = tmp_path / 'cut', 'best_accuracy_top1_epoch_1.pth'
    assert run(config, cut, point=Point(moment, 8)) == -signal.SIGKILL
    assert torch.load(cut / first, weights_only=True)['meta']['iter'] == 4
    assert run(config, cut, '--resume') == 0 == run(config, tmp_path / 'whole')
    assert not list(cut.glob('*.part'))
    for part in PARTS:
        assert_same(final(cut).get(part), final(tmp_path / 'whole').get(part), part)


POINTS = [pytest.param(2, id='2'), pytest.param(20, id='20', marks=pytest.mark.slow)]


@pytest.mark.parametrize('points', POINTS)
@pytest.mark.parametrize(
    'method',
    [pytest.param(method, marks=[] if method in SAMPLE else [pytest.mark.slow]) for method in METHODS],
)
def test_a_method_killed_at_drawn_points(method, points, tmp_path):
    """AB and FT switch their stage, DML trains peers, CRD remembers, in the midst of them."""
    epochs = 3 if method in ('ab', 'ft') else 2
    path = CONFIGS / method.split('-')[0] / f'{method}_resnet14_resnet8_digits100.py'
    cfg = shortened(Config.fromfile(path), tmp_path, epochs, samples=64)
    inner = cfg.train_dataloader.dataset.get('dataset', cfg.train_dataloader.dataset)
    inner.pipeline = CROP
    cfg.pop('work_dir')
    # Of AB and FT the first epoch is added by their first stage.
    config, iters = prepared(cfg, tmp_path / 'config.py', cfg.train_cfg.max_epochs), 4 * epochs
    killed(config, tmp_path, draw(method, points, iters, epochs), iters)


@pytest.mark.parametrize('points', POINTS)
@pytest.mark.parametrize('net', ['retinanet', 'faster-rcnn'])
def test_a_detector_killed_at_drawn_points(net, points, tmp_path):
    path, options = prepare(net, tmp_path)
    cfg = Config.fromfile(path)
    for option in options:
        key, _, value = option.partition('=')
        cfg.merge_from_dict({key: eval(value) if value[0].isdigit() or value == 'None' else value})
    flip = dict(type='RandomFlip', prob=0.5)
    cfg.train_pipeline.insert(-1, flip)
    cfg.train_dataloader.dataset.pipeline = cfg.train_pipeline
    killed(prepared(cfg, tmp_path / 'config.py'), tmp_path, draw(net, points, 6, 2), 6)


def killed(config, folder, points, iters):
    assert run(config, folder / 'whole') == 0
    wanted = final(folder / 'whole')
    assert wanted['meta']['iter'] == iters
    assert_exact(config, folder, points, wanted)
