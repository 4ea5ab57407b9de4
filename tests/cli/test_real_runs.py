"""Runs as people configure them, by ``tools/train.py``: gray images, and data sets in wrappers."""

import json

import pytest
import torch

from shake_mm.cli import train
from tests.conftest import classifier
from tests.support.mnist import write_mnist
from tests.support.runs import run_config

VIEWS = [dict(type='RandomCrop', crop_size=28, padding=2), dict(type='RandomFlip', prob=0.5), dict(type='PackInputs')]


def gray(channels):
    model = classifier(channels, classes=10, mean=[30.0], std=[60.0])
    model['backbone']['in_channels'] = 1
    return model


@pytest.fixture
def mnist(trained, tmp_path):
    """SHAKE with a hint on mmpretrain's MNIST, whose images have no channels."""
    teacher = gray(8)
    hint = dict(of='student.f2', to='teacher0.f2', loss=dict(type='FitNetsLoss'), connector=dict(type='ConvRegressor'))
    teachers = dict(config=teacher, checkpoint=trained(teacher))
    model = dict(type='shake_mm.SHAKE', student=gray(6), teachers=teachers, terms=dict(hint=hint))
    cfg = run_config(model, tmp_path / 'run', log_level='INFO')
    images = dict(type='MNIST', data_root=write_mnist(tmp_path / 'mnist'), download=False, pipeline=VIEWS)
    cfg.train_dataloader.dataset = dict(images, split='train')
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset = dict(images, split='test', pipeline=VIEWS[2:])
    return cfg


@pytest.fixture
def start(tmp_path):
    """Run the command; returns the log's last line with losses, and the log."""

    def start(cfg, *options):
        number = len(list(tmp_path.glob('run*.py')))
        path, work = tmp_path / f'run{number}.py', tmp_path / f'work{number}'
        cfg.experiment_name = f'{tmp_path.name}_{number}'
        cfg.dump(path)
        assert train.main([str(path), '--work-dir', str(work), *options]) == 0
        lines = [json.loads(line) for line in next(work.glob('*/vis_data/scalars.json')).read_text().splitlines()]
        return [line for line in lines if 'loss' in line][-1], next(work.glob('*/*.log')).read_text()

    return start


def test_grey_images_train(mnist, start, tmp_path):
    """The connector's shapes were inferred from gray images; the test split is not the training images."""
    losses, log = start(mnist)
    assert losses['loss_hint'] > 0 and 'are training images' not in log
    del mnist.model.terms
    cache = ['--cache-teachers', str(tmp_path / 'cache')]
    several = [start(mnist, *options)[0] for options in (['--batched', *cache], ['--exact', *cache])]
    assert all(torch.isfinite(torch.tensor(line['loss'])) for line in several)


def test_a_validation_on_training_images_is_warned_of(mnist, start):
    mnist.val_dataloader.dataset.split = 'train'
    del mnist.model.terms
    assert '48 of 48 validation images' in start(mnist)[1]


def joined(inner):
    """Two sets, one of them twice: their own numbers of images begin at 0."""
    other = dict(inner, seed=1, num_samples=24)
    repeated = dict(type='RepeatDataset', times=2, dataset=dict(inner, num_samples=16))
    return dict(type='ConcatDataset', datasets=[repeated, dict(type='RepeatDataset', times=1, dataset=other)])


@pytest.mark.parametrize('batched', [False, True])
def test_cached_logits_of_joined_sets_are_those_of_their_images(batched, shake, start, tmp_path):
    """The second run finds all that the first one wrote, and checks it; a run without a cache ends the same."""
    shake['type'] = 'shake_mm.KD'
    cfg = run_config(shake, tmp_path / 'run')
    cfg.train_dataloader.dataset = joined(dict(cfg.train_dataloader.dataset, pipeline=VIEWS[1:]))
    options = ['--exact', *(['--batched'] if batched else [])]
    cached = [*options, '--cache-teachers', str(tmp_path / 'cache')]
    losses = [start(cfg, *each)[0]['loss_student_from_teacher'] for each in (options, cached, cached)]
    assert losses[1] == losses[2] == pytest.approx(losses[0], rel=5e-3)
