"""The checkpoint that a run starts from, or goes on from."""

from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config
from mmengine.model import BaseTTAModel
from mmengine.runner import find_latest_checkpoint
from torch import nn

from ..engine import Distiller
from ..errors import UsageError
from ..members import check_fits, read_checkpoint, weights_in

RESUMED = ('meta', 'message_hub', 'optimizer')


class Start(NamedTuple):
    """What a run begins with.

    Args:
        source (str): Its file, address or name.
        where (str): Who names it.
        loaded (dict): What it holds.
    """

    source: str
    where: str
    loaded: dict


def read_start(cfg: Config, mode: str) -> Start | None:
    """Read the checkpoint that the run is going to load, if there is one.

    Args:
        cfg (Config): With the command line merged.
        mode (str): ``'train'`` or ``'test'``.

    Raises:
        UsageError: If it is missing, or no checkpoint.
    """
    source, resumes = cfg.get('load_from'), mode == 'train' and cfg.get('resume')
    if source is None and resumes:
        source = find_latest_checkpoint(cfg.work_dir)
        if source is not None and not Path(source).is_file():
            raise UsageError(
                f'{Path(cfg.work_dir) / "last_checkpoint"} names {source}, which does not exist: give a checkpoint '
                'that does, `--resume PATH`.'
            )
    if source is None:
        return None
    where = 'resume' if resumes else 'test' if mode == 'test' else 'load_from'
    return Start(source, where, read_checkpoint(source, where))


def check_start(model: nn.Module, start: Start) -> None:
    """Refuse weights most of which the model has no place for; mmengine would warn and go on.

    A new classifier on known features is a fair use of weights that do not all fit.

    Raises:
        UsageError: If less than half of the model's tensors (a distiller's student's) are in it, or it lacks what a run
            that goes on needs.
    """
    source, where, loaded = start
    state = weights_in(loaded, where, source)
    if isinstance(model, Distiller):
        network = model.student
    else:  # which reads the names as they are, a distiller's `student.` too
        network = model.module if isinstance(model, BaseTTAModel) else model
        state = {key.removeprefix('module.'): v for key, v in loaded.get('state_dict', loaded).items()}
    mine = network.state_dict()
    check_fits(mine, state, f"{where}: checkpoint '{source}' has", 'give the config that it was trained with')
    missing = [key for key in RESUMED if where == 'resume' and key not in loaded]
    if missing:
        raise UsageError(
            f"resume: checkpoint '{source}' has no {', '.join(missing)}, it holds weights alone: start from them by "
            '`load_from`, without resuming.'
        )
