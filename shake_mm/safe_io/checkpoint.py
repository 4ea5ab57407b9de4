"""The one function that reads weights, wherever they are."""

import os
import zipfile
from collections import OrderedDict
from typing import Any, BinaryIO

import torch
from mmengine.runner import CheckpointLoader

from ..errors import UsageError
from .container import read_file
from .errors import Refused, damaged
from .sources import as_file


def read(source: str | os.PathLike | BinaryIO, where: str = 'checkpoint', map_location: Any = 'cpu') -> Any:
    """Read weights, and what stands beside them, as plain values.

    Zip archives of ``torch.save``, its older files and safetensors files are read. Nothing in a file is ever run:
    whatever is no tensor, number, text or container of these is refused, whatever the environment says.

    Args:
        source (str | PathLike | BinaryIO): A path, an http address (downloaded once, into torch's folder of
            checkpoints), a name with a prefix that mmengine knows (``torchvision://resnet50``), the name of a config
            whose weights its package's model zoo lists (``'mmdet::retinanet/retinanet_r101_fpn_2x_coco.py'``), or a
            file that is open.
        where (str): Who asks, named in errors.
        map_location (str | torch.device | Any): The device of the tensors; what ``torch.load`` takes beside these (a
            function, a dictionary) and None stand for the CPU.

    Returns:
        Any: Most often a dictionary. Log histories are mmengine's ``HistoryBuffer``, namespaces are dictionaries.

    Raises:
        UsageError: If there is no such file, or it is not read.
    """
    if isinstance(source, str | os.PathLike):
        told = os.fspath(source)
    else:
        told = getattr(source, 'name', type(source).__name__)
    try:
        if not isinstance(source, str | os.PathLike):
            return to_device(_read_values(source), map_location)
        own = _loader_of_ones_own(told)
        if own is not None:
            from .guard import guard_loaders  # which is made of this module

            with guard_loaders():
                return own(told, map_location)
        with as_file(told) as path:
            values = read_local(path)
        return to_device(_of_backbone(values) if told.startswith('mmcls://') else values, map_location)
    except Refused as error:
        raise UsageError(f"{where}: checkpoint '{told}' {error}.") from None
    except OSError as error:
        reason = error.strerror or ' '.join(str(error).split())
        raise UsageError(f"{where}: checkpoint '{told}' cannot be read ({reason}): correct the path.") from None


def read_local(path: str) -> Any:
    """The plain values of a file, with its tensors on the CPU.

    Raises:
        Refused: If it is not read.
    """
    with open(path, 'rb') as file:
        return _read_values(file)


def to_device(values: Any, map_location: Any) -> Any:
    """Move tensors to a device; each leaves the CPU before the next."""
    device = torch.device(map_location) if isinstance(map_location, str | torch.device | int) else torch.device('cpu')
    return values if device.type == 'cpu' else _moved(values, device)


def _moved(values: Any, device: torch.device) -> Any:
    if isinstance(values, torch.Tensor):
        return values.to(device)
    if isinstance(values, dict | list):
        for key in values if isinstance(values, dict) else range(len(values)):
            values[key] = _moved(values[key], device)
    return tuple(_moved(value, device) for value in values) if type(values) is tuple else values


def _read_values(file: BinaryIO) -> Any:
    try:
        return read_file(file)
    except (Refused, OSError):
        raise
    except zipfile.BadZipFile:
        raise damaged('an archive without its end') from None
    except Exception as error:  # whatever a forged file brings the parsers of the standard library to
        raise damaged(type(error).__name__) from error


def _loader_of_ones_own(source: str) -> Any:
    """The loader that a user registered for a prefix, which is code of theirs; None for all others."""
    loader = CheckpointLoader._get_checkpoint_loader(source)
    own = loader is not None and not getattr(loader, '__module__', '').startswith(('mmengine.', f'{__package__}.'))
    return loader if own else None


def _of_backbone(values: Any) -> dict:
    """What mmengine makes of the weights of mmcls: those of the backbone."""
    state = values.get('state_dict', values)
    prefix = 'backbone.'
    inner = ((key[len(prefix) :], value) for key, value in state.items() if key.startswith(prefix))
    return dict(state_dict=OrderedDict(inner))
