"""Jobs of two processes of which one dies: they end with its error, or start again and lose nothing."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from mmengine.config import Config
from mmengine.registry import RUNNERS

from ..support.kills import assert_same, final
from .emulation import Emulation
from .jobs import start
from .methods import BATCH, prepare

TIMEOUT = 15
JOBS = {'dies twice': (1, dict(fail=2, kill=3)), 'stands still': (2, dict(stall=2))}
"""Number of machines, and in which iterations rank 1 dies in which manner."""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('deaths')


@pytest.fixture(scope='module')
def outcome(folder):
    """Status and output of jobs of four iterations that save each and start again once; they run at the same time."""

    def job(name):
        nodes, deaths = JOBS[name]
        cfg = Config.fromfile(folder / 'kd.py')
        cfg.custom_hooks.append(dict(type='DeathHook', deaths=deaths))
        cfg.default_hooks.checkpoint = dict(type='CheckpointHook', by_epoch=False, interval=1)
        cfg.train_dataloader.batch_size = BATCH // 2
        if name == 'stands still':  # the time also limits how long one waits for the other at the start
            cfg.env_cfg = dict(dist_cfg=dict(timeout=TIMEOUT))
        cfg.dump(folder / f'{name}.py')
        options = ('--resume', '--work-dir', folder / name)
        results = start(folder / f'{name}.py', nodes, 2 // nodes, *options, MAX_RESTARTS='1')
        return max(result.returncode for result in results), ''.join(r.stdout + r.stderr for r in results)

    prepare('kd', folder)
    with ThreadPoolExecutor() as pool:
        return dict(zip(JOBS, pool.map(job, JOBS)))


def test_a_rank_that_dies_ends_the_job(outcome, folder):
    """By an exception and, after the job's second start, by SIGKILL; the last checkpoint is whole."""
    status, output = outcome['dies twice']
    assert status == 1
    assert 'ArithmeticError: rank 1 cannot go on' in output
    assert 'Signal 9 (SIGKILL) received' in output.partition('train.py FAILED')[2], output[-5000:]
    assert final(folder / 'dies twice')['meta']['iter'] == 3


def test_a_rank_that_stands_still_is_waited_for_no_longer_than_the_timeout(outcome):
    assert f'Timed out waiting {TIMEOUT}000ms' in outcome['stands still'][1]


def test_a_job_that_starts_again_ends_as_if_it_had_never_stopped(outcome, folder):
    status, output = outcome['stands still']
    assert status == 0, output[-3000:]
    found = final(folder / 'stands still')
    assert found['meta']['iter'] == 4
    runner = RUNNERS.build(Config.fromfile(folder / 'kd.py'))
    runner.register_hook(Emulation(2))
    runner.train()
    assert_same(dict(found['state_dict']), dict(runner.model.state_dict()))
