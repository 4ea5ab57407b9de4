"""The checkpoint that a run starts from or resumes."""

from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config
from mmengine.model import BaseTTAModel
from mmengine.runner import find_latest_checkpoint
from torch import nn

from ..engine import Distiller
from ..errors import UsageError
from ..members import read_checkpoint, weights_in

RESUMED = ('meta', 'message_hub', 'optimizer')


class Start(NamedTuple):
    """The checkpoint that a run begins with.

    Args:
        source (str): Path of the file.
        where (str): The key or option that names it.
        loaded (dict): Its content.
    """

    source: str
    where: str
    loaded: dict


def read_start(cfg: Config, mode: str) -> Start | None:
    """Read the checkpoint that the run is going to load, if there is one in a local file.

    Args:
        cfg (Config): The config, with the command line merged.
        mode (str): ``'train'`` or ``'test'``.

    Raises:
        UsageError: If it is missing, or is not a checkpoint.
    """
    source, resumes = cfg.get('load_from'), mode == 'train' and cfg.get('resume')
    if source is None and resumes:
        source = find_latest_checkpoint(cfg.work_dir)
        if source is not None and not Path(source).is_file():
            raise UsageError(
                f'{Path(cfg.work_dir) / "last_checkpoint"} names {source}, which does not exist: give a checkpoint '
                'that does, `--resume PATH`.'
            )
    if source is None or '://' in source:
        return None
    where = 'resume' if resumes else 'test' if mode == 'test' else 'load_from'
    return Start(source, where, read_checkpoint(source, where))


def check_start(model: nn.Module, start: Start) -> None:
    """Refuse weights most of which do not fit the model; mmengine would warn and go on.

    Some need not fit: a new classifier on known features is a fair use of weights.

    Raises:
        UsageError: If it holds less than half of the tensors of the model (of the student, in a distiller), or lacks
            what resuming needs.
    """
    source, where, loaded = start
    state = weights_in(loaded, where, source)
    if isinstance(model, Distiller):
        network = model.student
    else:  # which takes the names as they are, a distiller's `student.` included
        network = model.module if isinstance(model, BaseTTAModel) else model
        state = {key.removeprefix('module.'): v for key, v in loaded.get('state_dict', loaded).items()}
    mine = network.state_dict()
    fitting = [key for key, value in mine.items() if key in state and state[key].shape == value.shape]
    if 2 * len(fitting) < len(mine):
        raise UsageError(
            f"{where}: checkpoint '{source}' has only {len(fitting)} of the {len(mine)} tensors of the network in "
            'their shape, it is of another network: give the config that it was trained with.'
        )
    missing = [key for key in RESUMED if where == 'resume' and key not in loaded]
    if missing:
        raise UsageError(
            f"resume: checkpoint '{source}' has no {', '.join(missing)}, it holds only weights: start from them by "
            '`load_from`, without resuming.'
        )
