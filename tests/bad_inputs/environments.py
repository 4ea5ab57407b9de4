"""Bad inputs: the machine, its variables and its packages."""

import errno
import os
import socket
import sys

from shake_mm import stack

from .case import Case
from .site import Site

RANKS = dict(RANK='0', LOCAL_RANK='0', WORLD_SIZE='1', MASTER_ADDR='127.0.0.1', MASTER_PORT='29511')
SLURM = dict(SLURM_PROCID='0', SLURM_NTASKS='1', SLURM_NODELIST='localhost', SLURM_LOCALID='0')


def _launched(launcher: str, *gone: str, changes: dict | None = None, **environ: str):
    """Start as a launcher does, with some variables missing or changed."""

    def prepare(site: Site) -> list[str]:
        for name in (*RANKS, *SLURM):
            site.patch.delenv(name, raising=False)
        for name, value in {**RANKS, **(SLURM if launcher == 'slurm' else {}), **environ}.items():
            if name not in gone:
                site.patch.setenv(name, value)
        return site.plain(changes, '--launcher', launcher)

    return prepare


def _work(place: str):
    def prepare(site: Site) -> list[str]:
        site.write('file', 'a file')
        return [site.plain()[0], '--work-dir', place]

    return prepare


def _without(package: str, changes: dict):
    def prepare(site: Site) -> list[str]:
        loaded = [name for name in sys.modules if name.startswith(f'{package}.')]  # by tests before
        for name in (package, *loaded):
            site.patch.setitem(sys.modules, name, None)
        return site.plain(changes)

    return prepare


def _full(site: Site) -> list[str]:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, 'No space left on device')

    site.patch.setattr(os, 'fsync', full)
    return [site.plain()[0], '--save-path', 'out.py']


def _link(site: Site) -> list[str]:
    (site.path / 'out.py').symlink_to(site.write('mine.py', 'mine = 1\n'))
    return [site.plain()[0], '--save-path', 'out.py', '--overwrite']


def _port_taken(site: Site) -> list[str]:
    both = socket.has_dualstack_ipv6()
    listener = socket.create_server(('', 0), family=socket.AF_INET6 if both else socket.AF_INET, dualstack_ipv6=both)
    site.keep.append(listener)
    return _launched('pytorch', MASTER_PORT=str(listener.getsockname()[1]))(site)


def _cache(site: Site) -> list[str]:
    site.patch.setenv('TORCH_HOME', site.write('cache', 'a file'))
    return site.kd({'model.teachers.0.checkpoint': 'http://127.0.0.1:9/teacher.pth'})


def _no_network(site: Site) -> list[str]:
    site.patch.setenv('TORCH_HOME', str(site.path / 'cache'))
    return site.kd({'model.teachers.0.checkpoint': 'http://127.0.0.1:9/teacher.pth'})


def _no_accelerator(site: Site) -> list[str]:
    return site.plain({}, '--amp')


def _old_mmengine(site: Site) -> list[str]:
    return site.plain()


def _variable(site: Site) -> list[str]:
    site.patch.delenv('DATA_ROOT', raising=False)
    return [site.write('run.py', "data_root = '{{$DATA_ROOT:}}'\n"), '--work-dir', str(site.work)]


CASES = [
    Case('environment', 'the work directory is a file', _work('file'), 'file', 'choose another folder'),
    Case('environment', 'the work directory is below a file', _work('file/work'), 'file', 'choose another folder'),
    Case('environment', 'the work directory cannot be made', _work('/proc/work'), '/proc/work', 'correct the path'),
    Case('environment', 'what is written is a link', _link, 'out.py', 'name another', 'misc/print_config'),
    Case('environment', 'the disk is full', _full, 'out.py', 'free', 'misc/print_config'),
    Case('environment', '--amp without an accelerator', _no_accelerator, '--amp', 'leave it out'),
    Case('environment', 'no rank', _launched('pytorch', 'RANK'), 'RANK', 'dist_train.sh'),
    Case('environment', 'a rank in words', _launched('pytorch', LOCAL_RANK='first'), 'LOCAL_RANK', 'dist_train.sh'),
    Case('environment', 'a rank beyond the world', _launched('pytorch', RANK='3'), 'RANK', 'dist_train.sh'),
    Case('environment', 'a world of no size', _launched('pytorch', WORLD_SIZE='0'), 'WORLD_SIZE', 'dist_train.sh'),
    Case('environment', 'no address', _launched('pytorch', 'MASTER_ADDR'), 'MASTER_ADDR', 'dist_train.sh'),
    Case('environment', 'a port in words', _launched('pytorch', MASTER_PORT='http'), 'MASTER_PORT', 'dist_train.sh'),
    Case('environment', 'a port that is taken', _port_taken, 'MASTER_PORT', 'another'),
    Case('environment', 'Slurm without srun', _launched('slurm', 'SLURM_PROCID'), 'SLURM_PROCID', 'slurm_train.sh'),
    Case('environment', 'MPI without mpirun', _launched('mpi'), 'OMPI_COMM_WORLD_LOCAL_RANK', 'mpirun'),
    Case(
        'environment',
        'a backend that torch lacks',
        _launched('pytorch', changes={'env_cfg': dict(dist_cfg=dict(backend='mpi'))}),
        'backend',
        'gloo',
    ),
    Case(
        'environment',
        'unknown start method',
        lambda s: s.plain({'env_cfg': dict(mp_cfg=dict(mp_start_method='forkk'))}),
        'forkk',
        'spawn',
    ),
    Case(
        'environment',
        'a visualizer that is not installed',
        _without('wandb', {'visualizer': dict(type='Visualizer', vis_backends=[dict(type='WandbVisBackend')])}),
        'wandb',
        'install',
    ),
    Case(
        'environment',
        'a library of networks that is not installed',
        _without('timm', {'model': dict(type='TimmClassifier', model_name='resnet18')}),
        'timm',
        'install',
    ),
    Case(
        'environment',
        'a task whose package is not installed',
        _without('mmdet', {'default_scope': 'mmdet'}),
        'run.py needs mmdet',
        'run `pip install',
    ),
    Case(
        'environment',
        'a loss whose package is not installed',
        _without('mmrazor', {'model': dict(type='shake_mm.KD', terms=dict(kd=dict(loss=dict(type='mmrazor.L2Loss'))))}),
        'run.py needs mmrazor',
        "OpenMMLab's own packages" if stack.name() == 'onedl' else 'run `pip install',
    ),
    Case('environment', 'no network', _no_network, 'http://127.0.0.1:9/teacher.pth', 'network'),
    Case('environment', 'a cache that cannot be written', _cache, 'cache', 'TORCH_HOME'),
    Case('environment', 'a variable that the config needs', _variable, 'DATA_ROOT', 'set'),
]
