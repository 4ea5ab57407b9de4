"""A run that goes on from another one's checkpoint is refused under ``--exact``, and told otherwise."""

import json

import pytest
import torch
from mmengine.config import Config

from shake_mm.hooks.resume_guard import INFO
from shake_mm.safe_io import read
from tests.support.runs import run_config
from tools.train import main

CROP = [dict(type='RandomCrop', crop_size=16, padding=2), dict(type='PackInputs')]


@pytest.fixture
def train(shake, tmp_path, capfd):
    """Train a copy of the config with changes in one work directory; return the status and what was told."""
    cfg = run_config(shake, tmp_path, samples=32, param_scheduler=[dict(type='MultiStepLR', milestones=[9])])
    cfg.train_cfg.val_interval = 9
    cfg.train_dataloader.dataset.pipeline = CROP
    cfg.default_hooks.checkpoint.max_keep_ckpts = 1

    def train(*options, epochs=2, **changes):
        changed = Config(cfg.to_dict())
        changed.merge_from_dict({'train_cfg.max_epochs': epochs, **changes})
        changed.experiment_name = f'{tmp_path.name}{epochs}{len(json.dumps(str(changes)))}'
        changed.dump(tmp_path / 'c.py')
        status = main([str(tmp_path / 'c.py'), '--work-dir', str(tmp_path / 'run'), *options])
        out, err = capfd.readouterr()
        return status, ' '.join((out + err).split())

    return train


CHANGES = {
    'batch size (16 there, 8 here)': {'train_dataloader.batch_size': 8},
    'data size (32 there, 48 here)': {'train_dataloader.dataset.num_samples': 48},
    'accumulation (1 there, 2 here)': {'optim_wrapper.accumulative_counts': 2},
    'seed (0 there, 5 here)': {'randomness.seed': 5},
    'learning rate (0.05 there, 0.1 here)': {'optim_wrapper.optimizer.lr': 0.1},
    'optimizer': {'optim_wrapper.optimizer.momentum': 0.8},
    'schedule': {'param_scheduler.0.milestones': [1]},
    'augmentation': {'train_dataloader.dataset.pipeline.0.padding': 1},
    'objective': {'model.tau': 3.0},
    'order of the samples': {'train_dataloader.sampler.shuffle': False},
    'custom hooks': {'custom_hooks': [dict(type='EMAHook')]},
}


def test_an_exact_run_goes_on_as_it_was_or_not_at_all(train, tmp_path, trained, make_classifier):
    assert train('--exact', epochs=1)[0] == 0
    info = read(tmp_path / 'run' / 'epoch_1.pth')['message_hub']['runtime_info'][INFO]
    assert info['batch size'] == 16 and info['seed'] == 0 and info['number of processes'] == 1
    before = (tmp_path / 'run' / 'epoch_1.pth').read_bytes()
    for words, changes in CHANGES.items():
        status, told = train('--exact', '--resume', **changes)
        assert status == 1 and words in told.partition('differs from the checkpoint in ')[2]
        assert 'set that back, or resume without --exact.' in told
    assert (tmp_path / 'run' / 'epoch_1.pth').read_bytes() == before
    # another teacher under the same name, and files that have moved
    (tmp_path / 'teacher.pth').rename(tmp_path / 'kept.pth')
    trained(make_classifier(8, classes=100), seed=7)
    status, told = train('--exact', '--resume')
    assert status == 1 and 'differs from the checkpoint in teachers: set' in told
    status, told = train('--exact', '--resume', **{'model.teachers.checkpoint': str(tmp_path / 'kept.pth')})
    assert status == 0 and 'differs' not in told and '--resume goes on' not in told


def test_a_plain_run_goes_on_and_tells(train, tmp_path):
    assert train(epochs=1)[0] == 0
    names = ('batch size (16 there, 8 here)', 'learning rate (0.05 there, 0.1 here)', 'augmentation')
    changes = {key: value for name in names for key, value in CHANGES[name].items()}
    status, told = train('--resume', **changes)
    assert status == 0
    assert "--resume keeps the checkpoint's learning rate (0.05 there, 0.1 here): to train with the config's" in told
    assert 'changes to the run of the checkpoint: batch size (16 there, 8 here) and augmentation.' in told
    loaded = read(tmp_path / 'run' / 'epoch_2.pth')
    assert loaded['optimizer']['param_groups'][0]['lr'] == 0.05
    assert loaded['message_hub']['runtime_info'][INFO]['batch size'] == 8


def test_checkpoints_of_earlier_versions_say_nothing(train, tmp_path):
    assert train('--exact', epochs=1)[0] == 0
    path = tmp_path / 'run' / 'epoch_1.pth'
    loaded = read(path)
    del loaded['message_hub']['runtime_info'][INFO]
    torch.save(loaded, path)
    assert train('--exact', '--resume', **{'optim_wrapper.optimizer.lr': 0.1})[0] == 0
