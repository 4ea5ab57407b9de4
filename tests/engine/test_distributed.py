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
    from ..support.runs import run_config

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
    """A runner lies in reference cycles; no frame of cli.run may hold it either when the group is left."""
    from argparse import Namespace

    from shake_mm.cli import common as cli

    class Runner:
        def __init__(self):
            self.itself = self

    alive = []
    monkeypatch.setattr(torch.distributed, 'is_initialized', lambda: True)
    monkeypatch.setattr(torch.distributed, 'destroy_process_group', lambda: alive.append(references[0]()))
    references = []
    assert cli.run(lambda args: references.append(weakref.ref(Runner())), Namespace(debug=False)) == 0
    assert alive == [None]


def test_a_failing_rank_ends_the_job(make_classifier, tmp_path):
    from ..support.runs import run_config

    model = dict(
        type='shake_mm.KD',
        student=make_classifier(6, classes=100),
        teachers=dict(config=make_classifier(8, classes=100), checkpoint=str(tmp_path / 'missing.pth')),
    )
    run_config(model, tmp_path).dump(tmp_path / 'config.py')
    result = launch(['bash', 'tools/dist_train.sh', tmp_path / 'config.py', 2], PORT=str(free_port()))
    assert result.returncode != 0 and 'does not exist' in result.stderr


def test_dist_train_of_stages_memories_and_teachers_that_train(make_classifier, trained, tmp_path):
    """AB's stages, CRD's memories and a peer: two processes that wait for the gradient of every trained parameter."""
    from ..support.runs import run_config

    teacher = make_classifier(8, classes=100)
    embedding = dict(type='Embedding', out_channels=16, normalize=True)
    model = dict(
        type='shake_mm.Distiller',
        student=make_classifier(6, classes=100),
        teachers=[dict(config=teacher, checkpoint=trained(teacher)), dict(config=teacher, trainable=True)],
        terms=dict(
            task=dict(of='student'),
            peer=dict(of='teacher1'),
            ab=dict(
                of='student.f*.preact',
                to='teacher0.f*.preact',
                connector=dict(type='ConvRegressor', relu=False),
                loss=dict(type='ABLoss'),
                level_decay=0.5,
            ),
            crd=dict(
                of='student.pool',
                to='teacher0.pool',
                connector=embedding,
                to_connector=embedding,
                loss=dict(type='CRDLoss', dim=16),
            ),
        ),
        stages=[
            dict(until=1, terms=['ab'], train=['student.backbone', 'terms.ab_f1', 'terms.ab_f2', 'terms.ab_f3']),
            dict(terms=['task', 'peer', 'crd'], train=['student', 'peers', 'terms.crd'], reset_optimizer=True),
        ],
        num_samples=64,
    )
    config = run_config(model, tmp_path, epochs=2, log_level='INFO')
    inner = config.train_dataloader.dataset
    config.train_dataloader.dataset = dict(type='shake_mm.ContrastDataset', dataset=inner, negatives=20)
    config.dump(tmp_path / 'config.py')
    result = launch(['bash', 'tools/dist_train.sh', tmp_path / 'config.py', 2], PORT=str(free_port()))
    assert result.returncode == 0, result.stderr[-3000:]
    first, last = (torch.load(tmp_path / f'epoch_{i}.pth', weights_only=True)['state_dict'] for i in (1, 2))
    changed = {key for key in last if key.endswith('weight') and not torch.equal(first[key], last[key])}
    assert {
        'student.head.fc.weight',
        'peers.teacher1.head.fc.weight',
        'terms.crd.to_connector.linear.weight',
    } <= changed
    assert not any(key.startswith('terms.ab') for key in changed)
    memory = 'terms.crd.loss.memory_student'
    assert (last[memory] != first[memory]).any(dim=1).sum() == 64  # both processes' samples are in it
