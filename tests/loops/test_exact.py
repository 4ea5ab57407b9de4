"""ExactTrainLoop: where it goes on, what it refuses, how it counts; equality of resumed runs has a test of its own."""

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from shake_mm.errors import UsageError
from shake_mm.switches import make_exact

from ..support.kills import assert_same
from ..support.runs import run_config


class Watch(Hook):
    """Notes each step's number in the epoch, its iteration, its samples, and a random number."""

    def __init__(self, stop=None):
        self.stop, self.seen = stop, []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.stop:
            raise KeyboardInterrupt
        images = tuple(data_batch['inputs'].flatten(1).sum(1).tolist())
        self.seen.append((runner.epoch, batch_idx, runner.iter, images, torch.rand(()).item()))


def start(model, folder, stop=None, interval=1, **changes):
    changes.setdefault('default_hooks', dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=interval)))
    config = run_config(model, folder, epochs=changes.pop('epochs', 2), **changes)
    make_exact(config)
    runner, watch = Runner.from_cfg(config), Watch(stop)
    runner.register_hook(watch)
    return runner, watch


@pytest.fixture
def model(make_classifier):
    return dict(type='shake_mm.Baseline', student=make_classifier(4, classes=100))


def test_it_goes_on_with_the_next_batch(model, tmp_path):
    """Stopped before iteration 6, which is the second epoch's third; and at the very end of an epoch."""
    runner, whole = start(model, tmp_path / 'whole')
    runner.train()
    assert [row[:3] for row in whole.seen] == [(i // 4, i % 4, i) for i in range(8)]
    assert len({row[4] for row in whole.seen}) == 8
    for stop in (6, 4):
        runner, cut = start(model, tmp_path / str(stop), stop)
        with pytest.raises(KeyboardInterrupt):
            runner.train()
        runner, rest = start(model, tmp_path / str(stop), resume=True)
        runner.train()
        assert cut.seen + rest.seen == whole.seen
        assert runner.message_hub.get_scalar('train/loss').data[0].tolist() == (
            whole_losses(tmp_path / 'whole', 'iter_8.pth')
        )


def test_a_stage_that_begins_anew_is_not_begun_twice(model, tmp_path):
    """Resumed in the midst of the stage's first epoch, the optimizer keeps the momentum it has from there."""
    model = {**model, 'stages': [dict(until=1), dict(reset_optimizer=True)]}
    start(model, tmp_path / 'whole')[0].train()
    with pytest.raises(KeyboardInterrupt):
        start(model, tmp_path / 'cut', 6)[0].train()
    start(model, tmp_path / 'cut', resume=True)[0].train()
    cut, whole = (torch.load(tmp_path / name / 'iter_8.pth', weights_only=True) for name in ('cut', 'whole'))
    for part in ('state_dict', 'optimizer'):
        assert_same(cut[part], whole[part], part)


def whole_losses(folder, name):
    """Also the history that logs are smoothed from is kept."""
    hub = torch.load(folder / name, weights_only=True)['message_hub']
    return hub['log_scalars']['train/loss']['log_history'].tolist()


def test_another_batch_size_is_refused(model, tmp_path):
    runner, _ = start(model, tmp_path, stop=3)
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    runner, _ = start(model, tmp_path, resume=True, samples=32)
    with pytest.raises(UsageError, match="'batches': 4.*'batches': 2.*keep batch size"):
        runner.train()


def test_checkpoints_between_two_updates_are_refused(model, tmp_path):
    wrapper = dict(accumulative_counts=4, optimizer=dict(type='SGD', lr=0.1))
    runner, _ = start(model, tmp_path, interval=6, optim_wrapper=wrapper)
    with pytest.raises(UsageError, match='interval of 6 iterations is not a multiple of accumulative_counts=4'):
        runner.train()
    hooks = dict(checkpoint=dict(type='CheckpointHook', interval=1))
    runner, watch = start(model, tmp_path, optim_wrapper=wrapper, default_hooks=hooks)
    runner.train()
    assert len(watch.seen) == 8


def test_a_loader_without_seeds_is_refused(model, tmp_path):
    config = run_config(model, tmp_path)
    config.train_cfg = dict(type='shake_mm.ExactTrainLoop', max_epochs=1)
    with pytest.raises(UsageError, match='SeededDataset.*--exact'):
        Runner.from_cfg(config).train()


def test_an_epoch_may_be_cut_short(model, tmp_path):
    config = run_config(model, tmp_path, epochs=2)
    config.train_dataloader.num_batch_per_epoch = 3
    make_exact(config)
    runner = Runner.from_cfg(config)
    runner.train()
    assert runner.iter == 6
