"""While a tool runs, what mmengine, mmpretrain, mmdet and torch load passes through this package."""

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from typing import Any

import mmengine.runner.checkpoint
import mmengine.utils.dl_utils
import numpy as np
import torch
import torch.hub
import torch.storage
import torch.utils.model_zoo
from mmengine.fileio.handlers import PickleHandler, YamlHandler
from mmengine.runner import CheckpointLoader

from ..errors import UsageError
from ..imports import when_imported
from . import annotations
from .checkpoint import read
from .download import fetch
from .errors import Refused

PICKLES: dict[str, Callable[[Any], Any]] = {
    'mmpretrain.datasets.cifar': lambda pickle: annotations.PlainPickles,
    'mmseg.utils.io': annotations.TrustedPickles,
}
"""Modules that unpickle data by themselves, and what stands for ``pickle`` in them."""
_depth = 0


@contextmanager
def guard_loaders() -> Iterator[None]:
    """Let everything that loads weights or data do so without running what is in them.

    - ``torch.load`` and all that ends in it, such as ``torch.hub.load_state_dict_from_url`` and the loaders of
      mmengine's ``CheckpointLoader`` for each of its prefixes, read by :func:`.read`.
    - ``mmengine.load`` reads YAML as plain values, and pickles where :func:`.trust_pickles` was told so; likewise
      ``numpy.load``, and mmseg's pictures in pickles.

    It may be entered again inside. What was there before comes back at the end.
    """
    global _depth
    if _depth:
        yield
        return
    with ExitStack() as stack:
        for owner, name, value in _replacements():
            stack.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, value)
        for module in PICKLES:
            stack.callback(when_imported(module, partial(_guard_pickles, stack, module)))
        stack.enter_context(_guarded_prefixes())
        stack.callback(annotations.trust_pickles, False)
        _depth += 1
        try:
            yield
        finally:
            _depth -= 1


def _replacements() -> list[tuple[Any, str, Any]]:
    """What is replaced: where it is, under which name, and by what."""
    loaders_of_addresses = (torch.utils.model_zoo, mmengine.runner.checkpoint, mmengine.utils.dl_utils)
    return [
        (torch, 'load', load),
        (torch.storage, '_load_from_bytes', _loader_of_storages(torch.load)),
        (torch.hub, 'load_state_dict_from_url', load_url),
        *((owner, 'load_url', load_url) for owner in loaders_of_addresses),
        (PickleHandler, 'load_from_fileobj', annotations.loader_of_pickles(PickleHandler.load_from_fileobj)),
        (YamlHandler, 'load_from_fileobj', annotations.load_yaml),
        (np, 'load', annotations.loader_of_arrays(np.load)),
    ]


def _guard_pickles(stack: ExitStack, name: str) -> None:
    """Give a module that unpickles data another ``pickle``; a run that does not need the module does not import it."""
    module = sys.modules[name]
    stack.callback(setattr, module, 'pickle', module.pickle)
    setattr(module, 'pickle', PICKLES[name](module.pickle))  # noqa: B010 (a name that no type checker knows)


def load(f: Any, map_location: Any = None, *args: Any, **kwargs: Any) -> Any:
    """Stand for ``torch.load``; further arguments, ``weights_only=False`` among them, change nothing."""
    return read(f, map_location=map_location)


def load_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = True,
) -> Any:
    """Stand for ``torch.hub.load_state_dict_from_url``; a hash in the name is always checked."""
    try:
        path = fetch(url, None if model_dir is None else os.fspath(model_dir), file_name)
    except Refused as error:
        raise UsageError(f"checkpoint '{url}' {error}.") from None
    return read(path, map_location=map_location)


def _loader_of_storages(load: Callable[..., Any]) -> Callable[[bytes], Any]:
    """What the processes of one run send each other holds storages by themselves, which are no weights."""

    @wraps(torch.storage._load_from_bytes)  # under whose name pickles call it
    def load_storage(content: bytes) -> Any:
        return load(io.BytesIO(content), weights_only=True)

    return load_storage


@contextmanager
def _guarded_prefixes() -> Iterator[None]:
    """Put our reader behind every prefix that mmengine has a loader for; loaders that a user registered stay."""
    theirs: dict[Callable, Callable] = {}
    for prefix, loader in CheckpointLoader._schemes.items():
        if loader.__module__ == mmengine.runner.checkpoint.__name__:
            CheckpointLoader._schemes[prefix] = ours = _reading_for(loader)
            theirs[ours] = loader
    try:
        yield
    finally:
        for prefix, loader in CheckpointLoader._schemes.items():
            CheckpointLoader._schemes[prefix] = theirs.get(loader, loader)


def _reading_for(loader: Callable) -> Callable:
    @wraps(loader)  # mmengine logs its name
    def read_source(filename: str, map_location: Any = None) -> Any:
        return read(filename, map_location=map_location)

    return read_source
