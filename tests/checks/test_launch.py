import pytest

from shake_mm.checks import check_launch, launched_rank
from shake_mm.errors import UsageError

TORCHRUN = dict(
    RANK='3', LOCAL_RANK='1', WORLD_SIZE='4', LOCAL_WORLD_SIZE='2', MASTER_ADDR='node0', MASTER_PORT='29500'
)
SLURM = dict(launcher='slurm', SLURM_PROCID='5', SLURM_NTASKS='8', SLURM_NODELIST='node[0-1]')
MPI = dict(
    launcher='mpi', OMPI_COMM_WORLD_RANK='6', OMPI_COMM_WORLD_LOCAL_RANK='2', OMPI_COMM_WORLD_SIZE='8', RANK='of no use'
)


@pytest.fixture
def start(monkeypatch):
    """Check the launch with variables as a launcher sets them, some of them changed; return the rank that they tell."""
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)

    def start(launcher='pytorch', **changes):
        for name, value in {**TORCHRUN, **changes}.items():
            monkeypatch.delenv(name, raising=False)
            if value is not None:
                monkeypatch.setenv(name, value)
        check_launch(launcher)
        return launched_rank(launcher)

    return start


def test_what_launchers_set_passes(start):
    assert start() == start(LOCAL_WORLD_SIZE=None) == 3
    assert start('none', RANK='of no use', MASTER_ADDR=None) == 0
    assert start(**SLURM) == 5 and start(**MPI) == 6
    with pytest.raises(UsageError, match='SLURM_NODELIST is not set'):
        start(**{**SLURM, 'SLURM_NODELIST': None})
    with pytest.raises(UsageError, match='OMPI_COMM_WORLD_SIZE=all is not a number'):
        start(**{**MPI, 'OMPI_COMM_WORLD_SIZE': 'all'})


@pytest.mark.parametrize(
    'changes, words',
    [
        (dict(RANK='4'), 'RANK=4, but WORLD_SIZE=4'),
        (dict(LOCAL_RANK='2'), 'LOCAL_RANK=2, but LOCAL_WORLD_SIZE=2'),
        (dict(MASTER_PORT='tcp'), 'MASTER_PORT=tcp is not a number'),
        (dict(MASTER_ADDR=None), 'MASTER_ADDR is not set'),
    ],
)
def test_what_cannot_meet_is_refused(start, changes, words):
    with pytest.raises(UsageError, match=words):
        start(**changes)


def test_a_process_without_a_gpu_of_its_own_is_refused(start, monkeypatch):
    monkeypatch.setattr('torch.cuda.device_count', lambda: 1)
    start()
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    with pytest.raises(UsageError, match='LOCAL_RANK=1, but there are 1 GPUs'):
        check_launch('pytorch')
