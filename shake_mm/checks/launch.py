"""The environment variables by which a launcher tells a process its rank."""

import os

import torch

from ..errors import UsageError

RANKS = {'RANK': 'WORLD_SIZE', 'LOCAL_RANK': 'LOCAL_WORLD_SIZE', 'WORLD_SIZE': None}
VARIABLES = {
    'pytorch': (*RANKS, 'MASTER_ADDR', 'MASTER_PORT'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST'),
    'mpi': ('OMPI_COMM_WORLD_LOCAL_RANK', 'OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'MASTER_ADDR'),
}
STARTERS = {
    'pytorch': '`tools/dist_train.sh` or `torchrun`',
    'slurm': '`tools/slurm_train.sh` or `srun`',
    'mpi': '`mpirun`, and set MASTER_ADDR',
}
NUMBERS = {'pytorch': 'RANK', 'slurm': 'SLURM_PROCID', 'mpi': 'OMPI_COMM_WORLD_RANK'}
TEXTS = ('MASTER_ADDR', 'SLURM_NODELIST')


def check_launch(launcher: str) -> None:
    """Refuse environment variables with which the processes would not find each other.

    Args:
        launcher (str): ``'pytorch'``, ``'slurm'``, ``'mpi'``, or ``'none'``, which needs nothing.

    Raises:
        UsageError: Naming the variable.
    """
    for name in VARIABLES.get(launcher, ()):
        value = os.environ.get(name)
        if value is None:
            raise UsageError(f'--launcher {launcher}: the variable {name} is not set: start with {STARTERS[launcher]}.')
        if name not in TEXTS and not value.isdecimal():
            raise UsageError(
                f'--launcher {launcher}: {name}={value} is not a number: start with {STARTERS[launcher]}, which sets '
                'it.'
            )
    if launcher == 'pytorch':
        _check_ranks()


def launched_rank(launcher: str) -> int:
    """The number of this process before it has met the others, 0 without a launcher."""
    return int(os.environ[NUMBERS[launcher]]) if launcher in NUMBERS else 0


def _check_ranks() -> None:
    numbers = {name: int(os.environ[name]) for name in (*RANKS, 'LOCAL_WORLD_SIZE') if name in os.environ}
    remedy = f'start with {STARTERS["pytorch"]}, which numbers the processes from 0'
    if numbers['WORLD_SIZE'] < 1:
        raise UsageError(f'--launcher pytorch: WORLD_SIZE={numbers["WORLD_SIZE"]} leaves no process: {remedy}.')
    for name, size in RANKS.items():
        if size in numbers and numbers[name] >= numbers[size]:
            raise UsageError(f'--launcher pytorch: {name}={numbers[name]}, but {size}={numbers[size]}: {remedy}.')
    if torch.cuda.is_available() and numbers['LOCAL_RANK'] >= torch.cuda.device_count():
        raise UsageError(
            f'--launcher pytorch: LOCAL_RANK={numbers["LOCAL_RANK"]}, but there are {torch.cuda.device_count()} GPUs: '
            'start one process for each.'
        )
