"""Work directories: what stands there that no run wrote is still there afterwards."""

import pytest
from mmengine.config import Config

from shake_mm.outputs import HEADER
from tests.support.runs import run_config
from tools.train import main


@pytest.fixture
def config(make_classifier, tmp_path):
    """A config in a folder of its own, read by the tool as a user's."""
    cfg = run_config(make_classifier(6, classes=100), tmp_path, samples=16, custom_hooks=[])
    cfg.train_cfg.val_interval = 9
    cfg.pop('work_dir')
    (tmp_path / 'mine').mkdir()
    cfg.dump(tmp_path / 'mine' / 'run.py')
    return tmp_path / 'mine' / 'run.py'


def refused(capsys, *argv):
    assert main([str(arg) for arg in argv]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith('error')]
    return line


@pytest.mark.parametrize('base', [False, True])
def test_a_config_is_not_flattened_over_itself(config, base):
    if base:
        config.rename(config.with_name('base.py'))
        config.write_text("_base_ = 'base.py'\n")
    before = config.read_bytes()
    assert main([str(config), '--work-dir', str(config.parent)]) == 0
    assert config.read_bytes() == before
    (copy,) = config.parent.glob('2*/vis_data/config.py')
    assert Config.fromfile(copy).optim_wrapper.optimizer.lr == 0.05


def test_another_config_and_foreign_checkpoints_stay(config, capsys, tmp_path):
    folder = tmp_path / 'work'
    folder.mkdir()
    (folder / 'run.py').write_text('a = 1\n')
    assert 'run.py exists and was not written by shake_mm' in refused(capsys, config, '--work-dir', folder)
    (folder / 'run.py').unlink()
    for name in ('epoch_1.pth', 'best_accuracy_top1_epoch_3.pth', 'preempted.pth'):
        (folder / name).write_bytes(b'precious')
        assert f'{name} is a checkpoint of no run' in refused(capsys, config, '--work-dir', folder)
        assert (folder / name).read_bytes() == b'precious'
        (folder / name).unlink()
    (folder / 'weights.pth').write_bytes(b'precious')
    assert main([str(config), '--work-dir', str(folder)]) == 0
    assert (folder / 'weights.pth').read_bytes() == b'precious'


def test_runs_follow_each_other_also_from_the_kept_config(config, tmp_path):
    folder = tmp_path / 'work'
    assert main([str(config), '--work-dir', str(folder)]) == 0
    kept = folder / 'run.py'
    assert kept.read_text().startswith(HEADER) and Config.fromfile(kept).work_dir == str(folder)
    changed = ['--cfg-options', 'optim_wrapper.optimizer.lr=0.01']
    assert main([str(config), '--work-dir', str(folder), *changed]) == 0
    assert Config.fromfile(kept).optim_wrapper.optimizer.lr == 0.01
    before = kept.read_bytes()
    assert main([str(kept), '--work-dir', str(folder), '--cfg-options', 'optim_wrapper.optimizer.lr=0.03']) == 0
    assert kept.read_bytes() == before
