"""Where weights come from: for every name and prefix that OpenMMLab knows, a file on this machine."""

import importlib.util
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import mmengine.runner.checkpoint as zoo
from mmengine.fileio import get_file_backend
from mmengine.hub import get_config

from .download import fetch
from .errors import Refused

STORES = re.compile(r'(\S+:)?(s3|petrel)://')


@contextmanager
def as_file(source: str) -> Iterator[str]:
    """A local file with the content of a source; it may be gone afterwards.

    Args:
        source (str): A path, an http address, the name of a config of a model zoo (``'mmdet::….py'``), or a name with a
            prefix that mmengine knows.

    Raises:
        Refused: If there is none.
    """
    if os.path.isfile(os.path.expanduser(source)):
        yield os.path.expanduser(source)
    elif source.startswith(('http://', 'https://')):
        yield fetch(source)
    elif STORES.match(source):
        with _written(_of_store(source)) as path:
            yield path
    elif source.startswith('pavi://'):
        with _of_pavi(source.removeprefix('pavi://')) as path:
            yield path
    else:
        address = address_of(source)
        if address is None:
            raise Refused('does not exist: train it first, or correct the path')
        yield fetch(address) if '://' in address else address


def address_of(source: str) -> str | None:
    """The address behind a name of a model zoo; None where it is no name of one.

    Raises:
        Refused: If the zoo does not know the name.
    """
    prefix, separator, name = source.partition('://')
    if separator:
        if prefix not in _ZOOS:
            known = ', '.join(f'{scheme}://' for scheme in ('http', 'https', *_ZOOS, 's3', 'petrel', 'pavi'))
            raise Refused(f'has a prefix that is none of {known}: give a file or an http address')
        return _listed(_ZOOS[prefix], prefix, name)
    return _of_config(source) if '::' in source else None


def _listed(models: Callable[[], dict[str, str]], prefix: str, name: str) -> str:
    listed = models()
    if prefix in ('open-mmlab', 'openmmlab'):
        name = zoo.get_deprecated_model_names().get(name, name)
    if name not in listed:
        raise Refused(f'names no model of the zoo {prefix}: correct the name, or give a file or an address')
    address = listed[name]
    # A zoo of one's own may list files.
    return address if '://' in address else os.path.join(zoo._get_mmengine_home(), address)


_ZOOS: dict[str, Callable[[], dict[str, Any]]] = {
    'torchvision': lambda: zoo.get_torchvision_models(),
    'modelzoo': lambda: zoo.get_torchvision_models(),
    'open-mmlab': lambda: zoo.get_external_models(),
    'openmmlab': lambda: zoo.get_external_models(),
    'mmcls': lambda: zoo.get_mmcls_models(),
}
"""The prefixes of mmengine's model zoos, and their lists."""


def _of_config(name: str) -> str:
    """Address of the weights that a package lists for one of its configs."""
    package = name.partition('::')[0]
    # mmengine would install a package that it knows and does not find.
    known = importlib.util.find_spec(package) is not None if package.isidentifier() else False
    try:
        address = get_config(name, pretrained=True).get('model_path') if known else None
    except (AssertionError, OSError, ValueError):  # no such package, config, or weights
        address = None
    if address is None:
        raise Refused(
            f'names no config for which the model zoo of {package} lists weights: correct the name, or give a file or '
            'an address'
        )
    return address


def _of_store(source: str) -> bytes:
    try:
        return get_file_backend(source, backend_args={'backend': 'petrel'}).get(source)
    except ImportError:
        raise Refused('needs the package petrel_client, which is not installed: install it, or give a file') from None


@contextmanager
def _written(content: bytes) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'checkpoint.pth')
        with open(path, 'wb') as file:
            file.write(content)
        yield path


@contextmanager
def _of_pavi(name: str) -> Iterator[str]:
    try:
        from pavi import modelcloud
    except ImportError:
        raise Refused('needs the package pavi, which is not installed: install it, or give a file') from None
    model = modelcloud.get(name)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, os.path.basename(model.name))
        model.download(path)
        yield path
