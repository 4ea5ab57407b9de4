"""Jobs of two and four processes by ``tools/dist_train.sh`` end with the weights of one process.

Every method is trained for two epochs, in float64 but for Faster R-CNN. All methods of a job run one after the other in
one process group, since to start the processes takes longer than to train.
"""

from functools import cache

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS

from .emulation import Emulation
from .jobs import start
from .methods import BATCH, JOINT, LOCAL, prepare

METHODS = (*JOINT, *LOCAL)
WORLDS = (2, 4)
IN_WORLDS = pytest.mark.parametrize('world', [2, pytest.param(4, marks=pytest.mark.slow)])


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('jobs')
    for name in METHODS:
        prepare(name, folder)
    return folder


@pytest.fixture(scope='module')
def found(folder):
    """What a rank of a job ends with: two processes on one machine, and four on what passes for two machines."""

    @cache
    def job(world):
        first, *rest = (folder / f'{name}.py' for name in METHODS)
        cfg = Config.fromfile(first)
        cfg.update(runner_type='MatrixRunner', configs=[str(path) for path in rest], folder=str(folder))
        cfg.train_dataloader.batch_size = BATCH // world
        cfg.dump(folder / f'matrix_{world}.py')
        for result in start(folder / f'matrix_{world}.py', world // 2, 2):
            assert result.returncode == 0, result.stderr[-3000:]

    def found(name, rank, world):
        job(world)
        return torch.load(folder / f'{name}_{rank}_of_{world}.pth', weights_only=True)

    return found


def reference(folder, name, hook=None):
    """The same run in this process."""
    cfg = Config.fromfile(folder / f'{name}.py')
    cfg.experiment_name = f'{name}_{id(hook)}_reference'
    if name.endswith('uneven'):
        cfg.train_dataloader.sampler = dict(type='PaddedSampler', multiple=max(WORLDS))
    runner = RUNNERS.build(cfg)
    if hook is not None:
        runner.register_hook(hook)
    runner.train()
    return runner.model.state_dict()


@pytest.fixture(scope='module')
def joint(folder):
    return cache(lambda name: reference(folder, name))


def distance(one, other):
    """The largest difference, as a share of the largest number of the tensor that it is in."""
    assert one.keys() == other.keys()
    pairs = [(one[key].double(), other[key].double()) for key in one]
    return max(float((a - b).abs().max() / b.abs().max().clamp(min=1e-9)) for a, b in pairs)


@IN_WORLDS
@pytest.mark.parametrize('name', JOINT)
def test_a_job_equals_one_process_of_the_joint_batch(found, joint, name, world):
    """Every rank, memories of CRD included; an uneven set is repeated from its start until it divides."""
    for rank in range(world):
        assert distance(found(name, rank, world), joint(name)) < 1e-12


@IN_WORLDS
@pytest.mark.parametrize('name', LOCAL)
def test_a_job_equals_an_emulation_of_its_processes(found, folder, name, world):
    """Each rank has statistics of its own, and they are those of its own batches.

    In float32 a rank adds up gradients in another order. How far that moves the weights of two epochs depends on the
    processor (1e-6 to 2e-5 seen); a mistake moves them by more than 1e-3, as the tests below show.
    """
    emulation = Emulation(world)
    reference(folder, name, emulation)
    states = [replica.state_dict() for replica in emulation.finished()]
    for rank, state in enumerate(states):
        assert distance(found(name, rank, world), state) < (1e-12 if state_is_double(state) else 1e-4)
    statistics = [key for key in states[0] if 'running_mean' in key]
    assert all(not torch.equal(states[0][key], states[1][key]) for key in statistics)


def state_is_double(state):
    return all(value.dtype in (torch.float64, torch.int64) for value in state.values())


@IN_WORLDS
@pytest.mark.parametrize('name', ['crd', 'crd-uneven', 'crd-bn'])
def test_all_ranks_remember_the_same(found, name, world):
    """Bit by bit, and all samples, whichever rank had them."""
    states = [found(name, rank, world) for rank in range(world)]
    for key in ('memory_student', 'memory_teacher', 'mean_score'):
        values = [state[f'terms.crd.loss.{key}'] for state in states]
        assert all(torch.equal(value, values[0]) for value in values)
        if key != 'mean_score':  # an initial row is not of unit length
            torch.testing.assert_close(values[0].norm(dim=1), torch.ones(len(values[0]), dtype=torch.float64))


@pytest.mark.parametrize(
    ('name', 'mistake'),
    [
        ('kd', dict(divisor=1)),
        ('kd', dict(shares=lambda batch, rank: batch[0::2])),
        ('kd-bn', dict(shares=lambda batch, rank: batch[rank * 8 : rank * 8 + 8])),
    ],
    ids=['gradients summed', 'all ranks with the same samples', "a rank with another's samples"],
)
def test_a_mistake_would_be_seen(found, folder, name, mistake):
    assert distance(found(name, 0, 2), reference(folder, name, Emulation(2, **mistake))) > 1e-3


def test_losses_of_pairs_see_the_pairs_of_their_rank(found, joint):
    """RKD and its like compare the samples of a batch with each other: docs/distributed.md names them."""
    assert distance(found('rkd', 0, 2), joint('rkd')) > 1e-3
