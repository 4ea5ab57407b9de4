"""The folder that a run writes into: nothing is lost there that no run wrote."""

import re
from pathlib import Path

from mmengine.config import Config

from ..atomic import checkpoint_names
from ..errors import UsageError
from ..outputs import claim

_RUN = re.compile(r'\d{8}_\d{6}')
"""A folder of logs, which every run of mmengine has in its work directory, is named by the time of its start."""


def config_copy(cfg: Config, name: str) -> Path:
    """Where a run keeps its config: ``<work_dir>/<config name>.py``, or of this name if it was read from no file."""
    return Path(cfg.work_dir) / f'{Path(cfg.filename).stem if cfg.filename else name}.py'


def is_read(path: Path, cfg: Config) -> bool:
    """Whether a file is the config that this command was given: a user's, or the copy that an earlier run kept.

    Such a file stays as it is; the folder of the logs has a copy with all options in any case.
    """
    return bool(cfg.filename) and path.exists() and path.samefile(cfg.filename)


def check_work_dir(cfg: Config, mode: str) -> None:
    """Refuse a work directory in which the run would overwrite what no run wrote: a config, or checkpoints.

    Args:
        cfg (Config): With the command line merged.
        mode (str): ``'train'`` or ``'test'``.

    Raises:
        UsageError: Naming the file.
    """
    if cfg.get('work_dir') is None:
        return
    folder = Path(cfg.work_dir)
    if cfg.filename and not is_read(path := config_copy(cfg, ''), cfg):  # which is not written anew
        claim(path, '--work-dir')
    if mode == 'train' and not cfg.get('resume') and folder.is_dir():
        runs = any(_RUN.fullmatch(path.name) for path in folder.iterdir() if path.is_dir())
        found = [] if runs else _checkpoints(cfg, folder)
        if found:
            raise UsageError(
                f'--work-dir: {found[0]} is a checkpoint of no run that was started there, and this one might '
                'overwrite it: name another folder.'
            )


def _checkpoints(cfg: Config, folder: Path) -> list[Path]:
    """Files of a folder that have the names of a run's checkpoints."""
    pattern = re.compile(checkpoint_names((cfg.get('default_hooks') or {}).get('checkpoint') or {}))
    return sorted(path for path in folder.iterdir() if pattern.fullmatch(path.name))
