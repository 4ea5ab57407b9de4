"""Imports of torchvision and mmrazor that fail beside current torch."""

import importlib.util
import sys
import types
from typing import Any

import torch

# Operators are forgotten together with the library object that declared them, so it has to live as long as the process.
_LIBRARIES: list[torch.library.Library] = []


def workaround_torchvision() -> bool:
    """Let torchvision be imported when its C++ operators do not load, as with a CUDA build beside a CPU torch.

    Its Python side describes the operators ``nms`` and ``qnms`` unconditionally, and fails when nothing has declared
    them (pytorch/pytorch#157648). Only the import works then: calling such an operator still raises torchvision's own
    explanation.
    """
    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:
        if 'torchvision::' not in str(error):
            raise
    else:
        return False
    library = torch.library.Library('torchvision', 'FRAGMENT')
    for name in ('nms', 'qnms'):
        library.define(f'{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
    _LIBRARIES.append(library)
    # The modules of the failed import are only partly initialized.
    for name in [name for name in sys.modules if name.partition('.')[0] == 'torchvision']:
        del sys.modules[name]
    return True


def workaround_mmrazor() -> bool:
    """Let mmrazor be imported beside torch 2, without its quantization (open-mmlab/mmrazor#615, #632).

    A stub stands for the one module that names functions torch 2 renamed. mmrazor itself is not imported here.
    """
    name = 'mmrazor.structures.quantization'
    if name in sys.modules or not importlib.util.find_spec('mmrazor'):
        return False
    try:
        from torch.ao.quantization.fuser_method_mappings import reverse2  # noqa: F401
    except ImportError:
        pass
    else:
        return False

    class QConfigHandler:
        """Stands for the class of mmrazor that needs torch 1.13."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            raise ImportError(f'quantization of mmrazor needs torch 1.13, but torch {torch.__version__} is installed')

    stub = types.ModuleType(name, 'Stands for the quantization of mmrazor, which torch 2 cannot import.')
    vars(stub).update(BackendConfigs={}, QConfigHandler=QConfigHandler, __all__=['BackendConfigs', 'QConfigHandler'])
    sys.modules[name] = stub
    return True
