"""Two processes that do not belong together, and a port that is in use: each process says so in one sentence."""

import multiprocessing
import os
import socket
import sys

import pytest

from tools.train import main

from ..support.runs import run_config

FORK = multiprocessing.get_context('fork')
LIMIT = 60
NOBODY_ELSE = 'another process of this run has ended'


def _train(rank, port, argv, err):
    os.dup2(os.open(err, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), 2)
    sys.stderr = os.fdopen(os.dup(2), 'w', buffering=1)
    places = dict(
        RANK=rank, LOCAL_RANK=rank, WORLD_SIZE=2, LOCAL_WORLD_SIZE=2, MASTER_ADDR='127.0.0.1', MASTER_PORT=port
    )
    os.environ.update({name: str(value) for name, value in places.items()})
    sys.exit(main(argv))


@pytest.fixture
def pair(make_classifier, tmp_path):
    """Train in two processes, the second with changes; returns the exit status and the sentences of each."""

    def pair(model=None, port=None, ranks=(0, 1), **changes):
        if port is None:
            with socket.create_server(('127.0.0.1', 0)) as server:
                port = server.getsockname()[1]
        processes = []
        for rank in ranks:
            network = make_classifier(6, classes=100) if rank == 0 or model is None else model
            cfg = run_config(network, tmp_path / f'work{rank}', samples=32, custom_hooks=[])
            cfg.experiment_name = f'{tmp_path.name}{rank}'
            cfg.env_cfg = dict(dist_cfg=dict(backend='gloo', timeout=LIMIT))
            cfg.merge_from_dict(changes if rank == 1 else {})
            cfg.dump(tmp_path / f'config{rank}.py')
            argv = [str(tmp_path / f'config{rank}.py'), '--launcher', 'pytorch']
            processes.append(FORK.Process(target=_train, args=(rank, port, argv, tmp_path / f'err{rank}')))
            processes[-1].start()
        for process in processes:
            process.join(LIMIT + 30)
            process.kill()
        texts = [(tmp_path / f'err{rank}').read_text() for rank in ranks]
        assert not any('Traceback' in text for text in texts), texts
        lines = [[line for line in text.splitlines() if line.startswith('error')] for text in texts]
        return [process.exitcode for process in processes], lines

    return pair


def test_configs_that_differ(pair):
    """Here another batch size, on which gloo ends a process by a signal; both name the part."""
    status, (first, second) = pair(**{'train_dataloader.batch_size': 8, 'optim_wrapper.optimizer.lr': 0.1})
    assert status == [1, 1] and len(first) == len(second) == 1
    told = 'different configs, rank 1 differs from rank 0 in train_dataloader, optim_wrapper: start all with the same'
    assert first[0].startswith('error (rank 0): ') and told in first[0]
    assert second[0].startswith('error (rank 1): ') and told in second[0]


NETWORKS = {
    'another number of parameters': dict(backbone=dict(type='LeNet5', num_classes=100)),
    'other shapes': None,
}


@pytest.mark.parametrize('kind', [*NETWORKS])
def test_models_that_differ(pair, make_classifier, kind):
    """Torch finds it before the configs are compared; whoever finds it first, nobody is left with a traceback."""
    network = make_classifier(8 if NETWORKS[kind] is None else 6, classes=100)
    status, (first, second) = pair({**network, **(NETWORKS[kind] or {})})
    assert status == [1, 1] and len(first) == len(second) == 1
    told = [line.partition(': ')[2] for line in (*first, *second)]
    assert any(line.startswith('the processes train different models (') for line in told), told
    assert all(line.startswith(('the processes train different', NOBODY_ELSE)) for line in told), told


@pytest.mark.slow
def test_equal_processes_train(pair):
    """Files and folders may lie elsewhere on another machine."""
    assert pair(log_level='ERROR')[0] == [0, 0]


def test_a_port_that_is_in_use(pair):
    with socket.create_server(('127.0.0.1', 0)) as server:
        port = server.getsockname()[1]
        status, ((line,),) = pair(port=port, ranks=(0,))
    assert status == [1] and line == (
        f'error: MASTER_PORT={port} is taken: choose another (`PORT=…` for tools/dist_train.sh)'
    )
