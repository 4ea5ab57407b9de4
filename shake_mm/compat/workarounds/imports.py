"""Imports of torchvision and mmrazor that fail beside current torch, and of mmpretrain beside new transformers."""

import sys
import types
from collections.abc import Callable
from importlib import metadata
from typing import Any

from ...imports import around_import
from ..upstream import LOGGER

_LIBRARIES: list[Any] = []
"""Operators are forgotten together with the library object that declared them, so it lives as long as the process."""

_RECURSIVE = ('mmrazor.models.task_modules.tracer.fx_tracer', 'mmrazor.structures.graph.channel_flow')
"""Modules of mmrazor that raise the recursion limit."""


def workaround_torchvision() -> bool:
    """Let torchvision be imported when its C++ operators do not load, as with a CUDA build beside a CPU torch.

    Its Python side describes the operators ``nms`` and ``qnms`` unconditionally, and fails when nothing has declared
    them (pytorch/pytorch#157648). Only the import works then: calling such an operator still raises torchvision's own
    explanation.

    torchvision is not imported here: what is done is done when somebody else does.
    """
    return _once('torchvision', _execute_torchvision)


def _execute_torchvision(execute: Callable[[], None]) -> None:
    """Execute it, and once more with the operators declared where it fails for their lack."""
    import torch

    try:
        execute()
        return
    except RuntimeError as error:
        if 'torchvision::' not in str(error):
            raise
    library = torch.library.Library('torchvision', 'FRAGMENT')
    for name in ('nms', 'qnms'):
        library.define(f'{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
    _LIBRARIES.append(library)
    # The modules below it are only partly initialized.
    for name in [name for name in sys.modules if name.startswith('torchvision.')]:
        del sys.modules[name]
    execute()


def workaround_transformers() -> bool:
    """Let mmpretrain 1.2 be imported beside transformers 5, without its multimodal networks.

    They are imported with all others and inherit of classes that transformers 5 no longer has where they look, so
    ``import mmpretrain.models`` ends in ``TypeError: NoneType takes no arguments``. Without transformers mmpretrain
    registers placeholders in their place, which say so when one is built; here it does the same.
    """
    return _once('mmpretrain.utils.dependency', _execute_dependency)


def _execute_dependency(execute: Callable[[], None]) -> None:
    """Let the module say that what multimodal networks need is missing, where it is too new for them."""
    execute()
    module = sys.modules['mmpretrain.utils.dependency']
    if getattr(module, 'WITH_MULTIMODAL', False) and _is('mmpretrain', '<1.3') and _is('transformers', '>=5'):
        setattr(module, 'WITH_MULTIMODAL', False)  # noqa: B010 (a name that no type checker knows)
        LOGGER.debug('multimodal networks of mmpretrain are left out: they need transformers<5')


def _is(package: str, wanted: str) -> bool:
    """Whether this distribution is installed in a version of those wanted."""
    from packaging.specifiers import SpecifierSet

    try:
        return SpecifierSet(wanted).contains(metadata.version(package), prereleases=True)
    except metadata.PackageNotFoundError:
        return False


def _once(module: str, execute: Callable[[Callable[[], None]], None]) -> bool:
    """Put a function around a module's first import, unless that is past or was done before."""
    waits = any(getattr(finder, 'name', None) == module for finder in sys.meta_path)
    if module in sys.modules or waits:
        return False
    around_import(module, execute)
    return True


def workaround_mmrazor() -> bool:
    """Let mmrazor be imported beside torch 2, without its quantization (open-mmlab/mmrazor#615, #632).

    A stub stands for the one module that names functions torch 2 renamed. Two others raise Python's recursion limit to
    a million, for good, with which JSON that is nested deeply ends the process by a stack overflow: the limit stays
    what it was. mmrazor itself is not imported here.
    """
    return _once('mmrazor', _execute_mmrazor)


def _execute_mmrazor(execute: Callable[[], None]) -> None:
    """Put the stub where the module would be, unless torch has the functions."""
    import torch

    name = 'mmrazor.structures.quantization'
    try:
        from torch.ao.quantization.fuser_method_mappings import reverse2  # noqa: F401
    except ImportError:
        sys.modules.setdefault(name, _stub_of_quantization(name, torch.__version__))
    for module in _RECURSIVE:
        if module not in sys.modules:
            around_import(module, _keep_recursion_limit)
    execute()


def _keep_recursion_limit(execute: Callable[[], None]) -> None:
    limit = sys.getrecursionlimit()
    try:
        execute()
    finally:
        sys.setrecursionlimit(limit)


def _stub_of_quantization(name: str, version: str) -> types.ModuleType:
    class QConfigHandler:
        """Stands for the class of mmrazor that needs torch 1.13."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            raise ImportError(f'quantization of mmrazor needs torch 1.13, but torch {version} is installed')

    stub = types.ModuleType(name, 'Stands for the quantization of mmrazor, which torch 2 cannot import.')
    vars(stub).update(BackendConfigs={}, QConfigHandler=QConfigHandler, __all__=['BackendConfigs', 'QConfigHandler'])
    return stub
