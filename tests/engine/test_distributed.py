"""Two gloo processes against one."""

import os
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import torch

from shake_mm.registry import MODELS

from .gloo_gradients import main, network

ROOT = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).with_name('gloo_gradients.py')


def launch(arguments, **env):
    """Run a command as two processes on the CPU."""
    return subprocess.run(
        [str(a) for a in arguments],
        cwd=ROOT,
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1', 'PYTHON': sys.executable, **env},
        capture_output=True,
        text=True,
        timeout=300,
    )


def free_port():
    import socket

    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        return sock.getsockname()[1]


@pytest.fixture
def teachers(tmp_path):
    paths = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        model = MODELS.build(network(0.5))
        model.init_weights()
        paths.append(tmp_path / f'{seed}.pth')
        torch.save({'state_dict': model.state_dict()}, paths[-1])
    return [str(path) for path in paths]


def test_two_processes_give_the_gradients_of_the_joined_batch(teachers, tmp_path):
    torchrun = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2', f'--master_port={free_port()}']
    result = launch([*torchrun, WORKER, tmp_path / 'two.pth', *teachers])
    assert result.returncode == 0, result.stderr[-2000:]
    main(str(tmp_path / 'one.pth'), *teachers)
    one, two = torch.load(tmp_path / 'one.pth'), torch.load(tmp_path / 'two.pth')
    assert one.keys() == two.keys() and any(name.startswith('proxies') for name in one)
    for name, grad in one.items():
        assert grad.abs().max() > 0, name
        torch.testing.assert_close(two[name], grad, rtol=1e-9, atol=1e-12)


def test_dist_train_switches_stages_on_the_cpu(shake, tmp_path):
    """tools/dist_train.sh CONFIG 2: gloo, three epochs, a switch of trained members, no find_unused_parameters."""
    from ..runs import run_config

    stages = [
        dict(until=1, terms=['proxy_from_teacher'], train=['proxies']),
        dict(terms=['task'], train=['student']),
    ]
    model = {**shake, 'stages': stages}
    config = run_config(model, tmp_path, epochs=2, log_level='INFO')
    config.dump(tmp_path / 'config.py')
    result = launch(['bash', 'tools/dist_train.sh', tmp_path / 'config.py', 2], PORT=str(free_port()))
    assert result.returncode == 0, result.stderr[-3000:]
    first = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)['state_dict']
    last = torch.load(tmp_path / 'epoch_2.pth', weights_only=True)['state_dict']
    weights = [key for key in last if key.endswith('fc.weight')]
    assert weights and all(torch.equal(first[k], last[k]) == k.startswith('proxies') for k in weights)
    assert 'gap/teacher' in result.stdout + result.stderr


def test_the_wrapper_is_gone_before_the_process_group(monkeypatch):
    """Else a process may abort at its end: a runner lies in reference cycles, so cli.run has to collect them."""
    from argparse import Namespace

    from shake_mm import cli

    class Runner:
        def __init__(self):
            self.itself = self

    alive = []
    monkeypatch.setattr(cli.torch_dist, 'is_initialized', lambda: True)
    monkeypatch.setattr(cli.torch_dist, 'destroy_process_group', lambda: alive.append(references[0]()))
    references = []
    assert cli.run(lambda args: references.append(weakref.ref(Runner())), Namespace(debug=False)) == 0
    assert alive == [None]


def test_a_failing_rank_ends_the_job(make_classifier, tmp_path):
    from ..runs import run_config

    model = dict(
        type='shake_mm.KD',
        student=make_classifier(6, classes=100),
        teachers=dict(config=make_classifier(8, classes=100), checkpoint=str(tmp_path / 'missing.pth')),
    )
    run_config(model, tmp_path).dump(tmp_path / 'config.py')
    result = launch(['bash', 'tools/dist_train.sh', tmp_path / 'config.py', 2], PORT=str(free_port()))
    assert result.returncode != 0 and 'does not exist' in result.stderr
