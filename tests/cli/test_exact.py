"""``--exact`` and what the scheduler's script makes of status 75."""

import os
import subprocess
from pathlib import Path

import pytest

from shake_mm.cli import train
from shake_mm.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def merge(config):

    def merge(*options):
        args = train.parse_args(
            [str(config), '--exact', '--cfg-options', 'train_dataloader.sampler.type=DefaultSampler']
        )
        cfg = train.common.load_config(args.config, args.cfg_options)
        cfg.merge_from_dict(dict(options))
        train.merge_args(cfg, args)
        return cfg

    return merge


def test_what_it_writes(merge):
    cfg = merge(('train_dataloader.drop_last', True), ('train_cfg.val_interval', 3))
    assert cfg.train_cfg == dict(type='shake_mm.ExactTrainLoop', max_epochs=1, val_interval=3)
    loader = cfg.train_dataloader
    assert loader.dataset == dict(type='shake_mm.SeededDataset', dataset=dict(type='Data'))
    assert loader.batch_sampler == dict(type='shake_mm.SeededBatchSampler', drop_last=True)
    assert 'drop_last' not in loader and loader.persistent_workers
    assert cfg.custom_hooks == [dict(type='shake_mm.PreemptionHook')]
    assert cfg.test_dataloader.dataset == dict(type='Data')


def test_it_keeps_what_is_there(merge):
    hook, batches = dict(type='EMAHook'), dict(type='AspectRatioBatchSampler')
    cfg = merge(('custom_hooks', [hook]), ('train_dataloader.batch_sampler', batches))
    assert cfg.custom_hooks == [hook, dict(type='shake_mm.PreemptionHook')]
    assert cfg.train_dataloader.batch_sampler.batch_sampler == batches


@pytest.mark.parametrize(
    ('key', 'value', 'words'),
    [
        ('train_dataloader.sampler.type', 'InfiniteSampler', 'sampler=InfiniteSampler draws: use DefaultSampler'),
        ('train_dataloader.sampler.type', 'mmpretrain.RepeatAugSampler', 'RepeatAugSampler'),
        ('train_cfg', dict(by_epoch=False, max_iters=3), 'by_epoch=True'),
        ('train_cfg', dict(type='MyLoop', max_epochs=3), 'by_epoch=True'),
    ],
)
def test_what_it_does_not_know_is_refused(merge, key, value, words):
    with pytest.raises(UsageError, match=words):
        merge((key, {'_delete_': True, **value} if isinstance(value, dict) else value))


@pytest.fixture
def slurm(tmp_path):
    """Run the script where srun ends with the statuses of a list in turn; return the commands that were run."""
    for name in ('srun', 'scontrol'):
        (tmp_path / name).write_text(f"""#!/usr/bin/env bash
echo {name} "$@" >> {tmp_path}/calls
read -r status < {tmp_path}/statuses; sed -i 1d {tmp_path}/statuses
[ {name} = scontrol ] || exit "$status"
""")
        (tmp_path / name).chmod(0o755)

    def slurm(statuses, *options, **variables):
        (tmp_path / 'statuses').write_text(''.join(f'{status}\n' for status in statuses))
        env = {**os.environ, 'PATH': f'{tmp_path}{os.pathsep}{os.environ["PATH"]}', **variables}
        command = [ROOT / 'tools' / 'slurm_train.sh', 'part', 'job', 'config.py', 'dir', *options]
        result = subprocess.run(command, env=env, capture_output=True, text=True)
        return result.returncode, (tmp_path / 'calls').read_text().splitlines()

    return slurm


def test_a_preempted_job_is_submitted_again(slurm):
    status, calls = slurm([75, 75, 0], '--exact', '--cfg-options', 'a=1')
    assert status == 0 and len(calls) == 3
    assert all(call.startswith('srun -p part') and '--signal=TERM@120' in call for call in calls)
    assert [call.partition('--exact ')[2] for call in calls] == ['--cfg-options a=1'] + [
        '--cfg-options a=1 --resume'
    ] * 2


def test_inside_a_batch_job_it_is_requeued(slurm):
    status, calls = slurm([75], '--exact', SLURM_JOB_ID='17', GRACE='30')
    assert status == 75 and calls[1:] == ['scontrol requeue 17'] and '--signal=TERM@30' in calls[0]
    assert not calls[0].endswith('--resume')


def test_a_requeued_job_resumes(slurm):
    status, calls = slurm([0], '--exact', SLURM_JOB_ID='17', SLURM_RESTART_COUNT='1')
    assert status == 0 and len(calls) == 1 and calls[0].endswith('--exact --resume')


@pytest.mark.parametrize('status', [1, 137, 143])
def test_another_end_is_the_end(slurm, status):
    assert slurm([status, 0], '--exact')[0] == status


def test_without_exact_nothing_is_repeated(slurm):
    status, (call,) = slurm([0])
    assert status == 0 and '--signal' not in call
