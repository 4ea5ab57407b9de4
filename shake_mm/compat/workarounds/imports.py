"""Imports of torchvision and mmrazor that fail beside current torch."""

import sys
import types
from collections.abc import Callable
from typing import Any

from ...imports import around_import

_LIBRARIES: list[Any] = []
"""Operators are forgotten together with the library object that declared them, so it lives as long as the process."""


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


def _once(module: str, execute: Callable[[Callable[[], None]], None]) -> bool:
    """Put a function around a module's first import, unless that is past or was done before."""
    waits = any(getattr(finder, 'name', None) == module for finder in sys.meta_path)
    if module in sys.modules or waits:
        return False
    around_import(module, execute)
    return True


def workaround_mmrazor() -> bool:
    """Let mmrazor be imported beside torch 2, without its quantization (open-mmlab/mmrazor#615, #632).

    A stub stands for the one module that names functions torch 2 renamed. mmrazor itself is not imported here.
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
    execute()


def _stub_of_quantization(name: str, version: str) -> types.ModuleType:
    class QConfigHandler:
        """Stands for the class of mmrazor that needs torch 1.13."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            raise ImportError(f'quantization of mmrazor needs torch 1.13, but torch {version} is installed')

    stub = types.ModuleType(name, 'Stands for the quantization of mmrazor, which torch 2 cannot import.')
    vars(stub).update(BackendConfigs={}, QConfigHandler=QConfigHandler, __all__=['BackendConfigs', 'QConfigHandler'])
    return stub
