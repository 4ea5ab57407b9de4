import random
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from shake_mm.checks import build_runner
from shake_mm.checks.data import check_data
from shake_mm.errors import UsageError
from shake_mm.registry import MODELS
from tests.conftest import classifier
from tests.support.runs import run_config


@pytest.fixture
def cfg(tmp_path):
    """A run of two batches that draws at random."""
    cfg = run_config(classifier(classes=100), tmp_path / 'work', samples=32, custom_hooks=[])
    crop = dict(type='RandomCrop', crop_size=16, padding=2)
    cfg.train_dataloader.dataset.pipeline = [crop, dict(type='PackInputs')]
    return cfg


def generators() -> list:
    return [random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()]


def test_looking_at_the_data_draws_nothing_and_changes_nothing(cfg):
    runner = build_runner(cfg, 'train')
    loader, before = runner.train_dataloader, generators()
    state = {key: value.clone() for key, value in runner.model.state_dict().items()}
    check_data(loader, 'train_dataloader', cfg.train_dataloader.dataset, runner.model)
    assert generators() == before
    assert all(torch.equal(value, state[key]) for key, value in runner.model.state_dict().items())
    assert all(module.training for module in runner.model.modules())


def test_the_config_is_written_when_the_run_begins(cfg):
    runner = build_runner(cfg, 'train')
    assert list(Path(cfg.work_dir).glob('*.py')) == []
    runner.train()
    assert [path.name for path in Path(cfg.work_dir).glob('*.py')] == [f'{runner.timestamp}.py']


@pytest.mark.parametrize('name', [None, 'mine'])
def test_runs_of_one_second_have_logs_and_histories_of_their_own(name, cfg, tmp_path, monkeypatch):
    """mmengine would give the second the logger of the first, with its file and its console."""
    now = SimpleNamespace(**{**vars(time), 'time': lambda: 1e9})
    monkeypatch.setattr('mmengine.runner.runner.time', now)
    cfg.log_level = 'INFO'
    cfg.experiment_name = name
    runners = []
    for folder in ('one', 'two', 'three'):
        cfg.work_dir = str(tmp_path / folder)
        runners.append(build_runner(cfg, 'train'))
    for runner in runners:
        runner.train()
        (log,) = Path(runner.work_dir).rglob('*.log')
        assert log.read_text().count('Epoch(train)') == 1
    assert len({runner.timestamp for runner in runners}) == 1
    assert len({id(runner.message_hub) for runner in runners}) == len({id(r.visualizer) for r in runners}) == 3
    assert cfg.get('experiment_name') == name and runners[-1].experiment_name.startswith(name or 'run')


def test_networks_of_no_known_task_are_let_be(cfg, monkeypatch):
    """Their data are only counted."""
    loader, read = build_runner(cfg, 'train').train_dataloader, []
    kind = type(loader.dataset)
    whole = kind.__getitem__
    monkeypatch.setattr(kind, '__getitem__', lambda self, i: read.append(i) or whole(self, i))
    check_data(loader, 'train_dataloader', None, torch.nn.Linear(1, 1))
    assert not read
    check_data(loader, 'train_dataloader', None, MODELS.build(classifier(classes=100)))
    assert read == [0, 1]


def test_a_label_beyond_the_head_is_found(cfg):
    cfg.model.head.num_classes = 100
    runner = build_runner(cfg, 'train')
    runner.model.head.num_classes = 50
    with pytest.raises(UsageError, match='100 classes and the model 50: set `num_classes`'):
        check_data(runner.train_dataloader, 'train_dataloader', None, runner.model)


def folder_of(cfg, path, label):
    """A data set of two files, of which the second has a label."""
    import mmcv

    path.mkdir()
    for i in range(2):
        mmcv.imwrite(np.full((16, 16, 3), 40 * i, np.uint8), str(path / f'{i}.png'))
    (path / 'labels.txt').write_text(f'0.png 1\n1.png {label}\n')
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
    return dict(
        type='CustomDataset',
        data_root=str(path),
        ann_file='labels.txt',
        pipeline=pipeline,
        metainfo=dict(classes='abc'),
    )


def wrapped(kind, first, second):
    wrappers = {
        'concat': dict(type='ConcatDataset', datasets=[first, second]),
        'repeat': dict(type='RepeatDataset', times=2, dataset=second),
        'balanced': dict(type='ClassBalancedDataset', oversample_thr=0.1, dataset=second),
        'fold': dict(type='KFoldDataset', num_splits=2, fold=0, dataset=second),
        'both': dict(type='RepeatDataset', times=2, dataset=dict(type='ConcatDataset', datasets=[first, second])),
    }
    return wrappers[kind]


@pytest.mark.parametrize('kind', ['concat', 'repeat', 'balanced', 'fold', 'both'])
def test_wrapped_data_sets_get_the_checks_of_a_single_one(kind, cfg, tmp_path):
    good, bad = (folder_of(cfg, tmp_path / name, label) for name, label in (('good', 0), ('bad', 120)))
    cfg.train_dataloader.dataset = wrapped(kind, good, bad)
    cfg.train_dataloader.batch_size = 1
    with pytest.raises(UsageError, match=r'bad/1.png has the label 120, but the model knows 0 to 99'):
        build_runner(cfg, 'train')


@pytest.mark.parametrize('kind', ['concat', 'both'])
def test_the_first_samples_of_each_joined_data_set_are_read(kind, cfg, tmp_path):
    first, second = (folder_of(cfg, tmp_path / name, 0) for name in ('first', 'second'))
    second['pipeline'] = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=20), dict(type='PackInputs')]
    cfg.train_dataloader.dataset = wrapped(kind, first, second)
    with pytest.raises(UsageError, match='cannot form a batch: add a Resize'):
        build_runner(cfg, 'train')


@pytest.mark.parametrize(('names', 'told'), [(('a', 'b'), False), (('b', 'a'), True), (('cat', 'dog'), False)])
def test_names_that_contradict_the_folders_are_warned_of(names, told, cfg, tmp_path, monkeypatch):
    """mmpretrain labels folders by the alphabet, and writes into every checkpoint the names that it is told."""
    said = []
    monkeypatch.setattr('shake_mm.checks.data.print_log', lambda text, *args: said.append(text))
    data = tmp_path / 'data'
    data.mkdir()
    for folder in 'ab':
        folder_of(cfg, data / folder, 0)
        (data / folder / 'labels.txt').unlink()
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
    folders = dict(type='CustomDataset', data_root=str(data), pipeline=pipeline, metainfo=dict(classes=names))
    cfg.train_dataloader.dataset = dict(type='RepeatDataset', times=8, dataset=folders)
    build_runner(cfg, 'train')
    assert bool(said) == told
    assert not told or "the label of the folder 'b' is 1, by the alphabet" in said[0]
