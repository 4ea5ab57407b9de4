"""What the shell scripts ask launchers for; a stand-in prints its arguments."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
SCRIPTS = ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh', 'slurm_test.sh']


@pytest.fixture
def words(tmp_path):
    """Run a script; the words of the command that it starts, and a variable of its environment as the first."""
    launcher = tmp_path / 'srun'
    launcher.write_text('#!/bin/sh\nprintf "%s\\n" "$TORCH_DISABLE_SHARE_RDZV_TCP_STORE" "$@"\n')
    launcher.chmod(0o755)

    def words(script, *args, **variables):
        path = f'{tmp_path}{os.pathsep}{os.environ["PATH"]}'
        env = {**os.environ, 'PATH': path, 'PYTHON': str(launcher), **variables}
        result = subprocess.run([TOOLS / script, *args], capture_output=True, text=True, env=env, check=True)
        return result.stdout.splitlines()

    return words


@pytest.mark.parametrize('script', SCRIPTS)
def test_syntax(script):
    assert subprocess.run(['bash', '-n', TOOLS / script]).returncode == 0


def test_one_machine_is_the_default(words):
    found = words('dist_train.sh', 'a config.py', '3', '--exact', '--resume')
    assert found == [
        '',
        *['-m', 'torch.distributed.run', '--nnodes=1', '--nproc_per_node=3', '--max_restarts=0'],
        *['--node_rank=0', '--master_addr=127.0.0.1', '--master_port=29500'],
        *[f'{TOOLS}/train.py', 'a config.py', '--launcher', 'pytorch', '--exact', '--resume'],
    ]


@pytest.mark.parametrize(('script', 'args'), [('dist_train.sh', ['c.py']), ('dist_test.sh', ['c.py', 'a.pth'])])
def test_several_machines_meet_at_the_first(words, script, args):
    found = words(script, *args, '8', NNODES='4', NODE_RANK='2', MASTER_ADDR='first', PORT='7')
    wanted = {'--nnodes=4', '--nproc_per_node=8', '--node_rank=2', '--master_addr=first', '--master_port=7'}
    assert wanted <= set(found)


@pytest.mark.parametrize('rank', ['0', '1'])
def test_machines_that_start_again_meet_again(words, rank):
    variables = dict(NNODES='2', NODE_RANK=rank, MASTER_ADDR='first', PORT='7', MAX_RESTARTS='3')
    found = words('dist_train.sh', 'c.py', '8', **variables)
    assert found[0] == '1'
    wanted = {'--max_restarts=3', '--rdzv_backend=c10d', '--rdzv_endpoint=first:7', '--rdzv_id=7'}
    assert {*wanted, f'--rdzv_conf=is_host={1 - int(rank)}'} <= set(found)
    assert ('--local_addr=first' in found) == (rank == '0') and not any('master' in word for word in found)


@pytest.mark.parametrize(
    ('variables', 'tasks', 'each'),
    [
        (dict(), 8, 8),
        (dict(GPUS='2'), 2, 2),
        (dict(GPUS='32'), 32, 8),
        (dict(GPUS='32', GPUS_PER_NODE='4'), 32, 4),
    ],
)
@pytest.mark.parametrize('script', ['slurm_train.sh', 'slurm_test.sh'])
def test_tasks_of_several_machines(words, script, variables, tasks, each):
    found = words(script, 'part', 'job', 'c.py', 'folder', CPUS_PER_TASK='3', **variables)
    wanted = {f'--ntasks={tasks}', f'--ntasks-per-node={each}', f'--gres=gpu:{each}', '--cpus-per-task=3'}
    assert {*wanted, '--job-name=job', '--kill-on-bad-exit=1', '--launcher=slurm'} <= set(found)


@pytest.mark.parametrize(('script', 'args'), [('dist_train.sh', ['c.py']), ('dist_test.sh', ['c.py', 'a.pth'])])
def test_a_taken_port_is_told_before_torchrun_begins(script, args):
    with socket.create_server(('127.0.0.1', 0)) as server:
        taken = str(server.getsockname()[1])
        for port, words in ((taken, f'error: PORT={taken} is taken'), ('http', 'error: PORT=http is not a number')):
            env = {**os.environ, 'PYTHON': '/bin/false', 'PORT': port}
            result = subprocess.run([TOOLS / script, *args, '2'], capture_output=True, text=True, env=env)
            assert result.returncode == 1 and result.stdout == ''
            (line,) = result.stderr.splitlines()
            assert line.startswith(words) and 'choose' in line
