"""The checkpoint that a run starts from, or goes on from."""

from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel
from mmengine.runner import Runner, find_latest_checkpoint
from torch import nn

from ..engine import Distiller
from ..errors import UsageError
from ..members import check_fits, mend_for, read_checkpoint, state_within, weights_in

RESUMED = ('meta', 'message_hub', 'optimizer')


class Start(NamedTuple):
    """What a run begins with.

    Args:
        source (str): Its file, address or name.
        where (str): Who names it.
        key (str, optional): Where in it the weights are.
        loaded (dict): What it holds.
    """

    source: str
    where: str
    key: str | None
    loaded: dict


def read_start(cfg: Config, mode: str) -> Start | None:
    """Read the checkpoint that the run is going to load, if there is one.

    Args:
        cfg (Config): With the command line merged.
        mode (str): ``'train'`` or ``'test'``.

    Raises:
        UsageError: If it is missing, or no checkpoint, or `load_from_key` is no text.
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
    key = None if resumes else cfg.get('load_from_key')
    if not isinstance(key, str | None):
        raise UsageError(f"load_from_key is {key!r}, but it must be text: a key of the checkpoint, such as 'teacher'.")
    return Start(source, where, key, read_checkpoint(source, where))


def check_start(model: nn.Module, start: Start) -> None:
    """Refuse weights most of which the model has no place for; mmengine would warn and go on.

    A new classifier on known features is a fair use of weights that do not all fit.

    Raises:
        UsageError: If less than half of the model's tensors (a distiller's student's) are in it, or it lacks what a run
            that goes on needs.
    """
    source, where, _, loaded = start
    network, state = _network_of(model), _weights_for(model, start, loaded, tell=True)
    mine = network.state_dict()
    if isinstance(network, Distiller):
        whole = any(name.startswith('student.') for name in state)
        mine = state_within(network.student, 'student.') if whole else network.student.state_dict()
    check_fits(mine, state, f"{where}: checkpoint '{source}' has", mend_for(state))
    missing = [key for key in RESUMED if where == 'resume' and key not in loaded]
    if missing:
        raise UsageError(
            f"resume: checkpoint '{source}' has no {', '.join(missing)}, it holds weights alone: start from them by "
            '`load_from`, without resuming.'
        )


class StartWeightsHook(Hook):
    """Gives mmengine the weights that a run starts from under the names of its model, whatever the file calls them.

    Args:
        model (nn.Module): The run's, without a wrapper.
        start (Start): The checkpoint, which was checked.
    """

    priority = 'HIGHEST'  # EMAHook, for one, reads the same weights

    def __init__(self, model: nn.Module, start: Start) -> None:
        self._model, self._start = model, start._replace(loaded={})  # mmengine reads the file itself
        self._done = False

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Put the state dict into the checkpoint, once."""
        if not self._done:
            checkpoint['state_dict'] = _weights_for(self._model, self._start, checkpoint, tell=False)
            self._done = True


def _network_of(model: nn.Module) -> nn.Module:
    return model.module if isinstance(model, BaseTTAModel) else model


def _weights_for(model: nn.Module, start: Start, loaded: dict, tell: bool) -> dict:
    """The weights under the model's names; what a distiller wrote starts a distiller as a whole."""
    network, (source, where, key, _) = _network_of(model), start
    if isinstance(network, Distiller):
        return weights_in(loaded, where, source, network.student, key, whole=True, tell=tell)
    return weights_in(loaded, where, source, network, key, tell=tell)
