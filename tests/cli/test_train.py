import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from shake_mm.cli import train
from shake_mm.errors import UsageError
from shake_mm.options import CACHES

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def merge(config):
    """Merge command line options into the config as the tool does."""

    def merge(*options: str, scope: str | None = None):
        args = train.parse_args([str(config), *options])
        cfg = train.common.load_config(args.config, args.cfg_options)
        if scope:
            cfg.default_scope = scope
        train.merge_args(cfg, args)
        return cfg

    return merge


def test_defaults(merge):
    cfg = merge()
    assert cfg.work_dir == 'work_dirs/config'
    assert cfg.launcher == 'none'
    assert 'resume' not in cfg
    assert cfg.train_dataloader.persistent_workers
    assert cfg.train_dataloader.pin_memory == torch.cuda.is_available()


def test_collate_fn_is_only_set_for_mmpretrain(merge):
    assert merge(scope='mmpretrain').train_dataloader.collate_fn == dict(type='default_collate')
    assert 'collate_fn' not in merge(scope='mmdet').train_dataloader
    assert 'collate_fn' not in merge().train_dataloader


def test_workers(merge):
    assert not merge().test_dataloader.persistent_workers
    assert not merge('--no-persistent-workers').train_dataloader.persistent_workers
    cfg = merge('--cfg-options', 'train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=True')
    assert not cfg.train_dataloader.persistent_workers
    cfg = merge('--no-pin-memory', '--cfg-options', 'train_dataloader.pin_memory=True')
    assert not cfg.train_dataloader.pin_memory


def test_no_validate(merge):
    cfg = merge('--no-validate')
    assert cfg.val_cfg is None and cfg.val_dataloader is None and cfg.val_evaluator is None


def test_resume(merge, tmp_path):
    checkpoint = tmp_path / 'epoch_1.pth'
    checkpoint.touch()
    cfg = merge('--resume')
    assert cfg.resume and cfg.load_from is None
    cfg = merge('--resume', str(checkpoint))
    assert cfg.resume and cfg.load_from == str(checkpoint)
    with pytest.raises(UsageError, match='does not exist'):
        merge('--resume', 'missing.pth')


def test_auto_scale_lr(merge):
    with pytest.raises(UsageError, match='base_batch_size'):
        merge('--auto-scale-lr')
    assert merge('--auto-scale-lr', '--cfg-options', 'auto_scale_lr.base_batch_size=8').auto_scale_lr.enable


def test_amp(config, monkeypatch):
    cfg = train.common.load_config(str(config))
    monkeypatch.setattr(train, 'get_device', lambda: 'cpu')
    with pytest.raises(UsageError, match='accelerator'):
        train.enable_amp(cfg)
    monkeypatch.setattr(train, 'get_device', lambda: 'cuda')
    train.enable_amp(cfg)
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper' and cfg.optim_wrapper.loss_scale == 'dynamic'
    cfg.optim_wrapper = dict()
    with pytest.raises(UsageError, match='optim_wrapper'):
        train.enable_amp(cfg)


@pytest.mark.parametrize(
    ('options', 'part'),
    [
        (['--cfg-options', 'model.type=mmpretrain.ImageClasifier'], 'did you mean mmpretrain.ImageClassifier'),
        (['--resume', 'missing.pth'], 'missing.pth does not exist'),
        (['--auto-scale-lr'], 'base_batch_size'),
    ],
)
def test_errors_are_one_sentence(config, tmp_path, capfd, options, part):
    assert train.main([str(config), '--work-dir', str(tmp_path / 'work'), *options]) == 1
    errors = [line for line in capfd.readouterr().err.splitlines() if line.startswith('error: ')]
    assert len(errors) == 1 and part in errors[0]


def test_missing_config(capsys):
    assert train.main(['missing.py']) == 1
    assert 'missing.py' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('script', 'args'),
    [('dist_train.sh', ['missing config.py', '2']), ('dist_test.sh', ['missing config.py', 'a.pth', '2'])],
)
def test_failing_ranks_fail_the_launch(script, args, tmp_path):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])
    env = {**os.environ, 'PYTHON': sys.executable, 'PORT': port, 'OMP_NUM_THREADS': '1'}
    result = subprocess.run(
        [ROOT / 'tools' / script, *args], capture_output=True, text=True, cwd=tmp_path, env=env, timeout=300
    )
    assert result.returncode != 0
    assert 'config missing config.py does not exist' in result.stderr


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh', 'slurm_test.sh'])
def test_shell_scripts_tell_their_usage(script):
    result = subprocess.run([ROOT / 'tools' / script], capture_output=True, text=True)
    assert result.returncode == 2 and result.stderr.startswith('usage: ')


@pytest.mark.parametrize(
    ('script', 'args', 'expected'),
    [
        ('slurm_train.sh', ['part', 'job', 'a config.py', 'a dir'], ['a config.py', '--work-dir=a dir']),
        ('slurm_test.sh', ['part', 'job', 'a config.py', 'a.pth'], ['a config.py', 'a.pth']),
    ],
)
def test_slurm_command(tmp_path, script, args, expected):
    """A stand-in for srun prints its arguments."""
    srun = tmp_path / 'srun'
    srun.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    srun.chmod(0o755)
    env = {**os.environ, 'PATH': f'{tmp_path}{os.pathsep}{os.environ["PATH"]}', 'GPUS': '4', 'SRUN_ARGS': '--a --b'}
    result = subprocess.run(
        [ROOT / 'tools' / script, *args, '--cfg-options', 'x="1 2"'], capture_output=True, text=True, env=env
    )
    words = result.stdout.splitlines()
    assert result.returncode == 0
    assert words[:2] == ['-p', 'part'] and {'--ntasks=4', '--gres=gpu:4', '--a', '--b', 'x="1 2"'} <= set(words)
    assert [word for word in words if word in expected] == expected


@pytest.mark.parametrize(
    ('option', 'name', 'default'),
    [('--resume', 'resume', 'auto'), ('--cache-teachers', 'cache_teachers', CACHES)],
)
def test_a_config_behind_an_option_without_a_value_is_the_config(option, name, default, capsys):
    for argv in ([option, 'a.py'], ['a.py', option]):
        args = train.parse_args(argv)
        assert (args.config, getattr(args, name)) == ('a.py', default)
    args = train.parse_args([option, 'there', 'a.py'])
    assert (args.config, getattr(args, name)) == ('a.py', 'there')
    with pytest.raises(SystemExit):
        train.parse_args([option, 'there'])
    assert 'the following arguments are required: config' in capsys.readouterr().err
