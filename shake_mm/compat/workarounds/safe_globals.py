"""Checkpoints of other programs of the OpenMMLab stack, which torch refuses to load."""

import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer, MessageHub

from ..upstream import needs

STATISTICS = ('min', 'max', 'current', 'mean')


@needs('torch.serialization:add_safe_globals')
def workaround_safe_globals() -> bool:
    """Let ``torch.load`` read checkpoints of the plain mmengine, mmpretrain and mmdet without unsafe pickle.

    Beside weights they hold log histories, numpy values and configuration dictionaries (open-mmlab/mmengine#1655).
    None of the names allowed here can reach code outside these classes: ``getattr``, with which a ``HistoryBuffer``
    names its statistics, is stood for by :func:`_statistic`.
    """
    probe = io.BytesIO()
    torch.save(HistoryBuffer([1.0], [1]), probe)
    probe.seek(0)
    try:
        torch.load(probe)
    except pickle.UnpicklingError:
        pass
    else:
        return False
    rebuild_array, rebuild_scalar = np.empty(0).__reduce__()[0], np.float64(0).__reduce__()[0]
    allowed = [HistoryBuffer, MessageHub, ConfigDict, (_statistic, 'builtins.getattr'), np.ndarray, np.dtype]
    allowed += {type(np.dtype(code)) for code in np.typecodes['All']}
    # numpy 2 renamed the module, and there are files of both versions.
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        allowed += [(rebuild_array, f'{module}._reconstruct'), (rebuild_scalar, f'{module}.scalar')]
    torch.serialization.add_safe_globals(allowed)
    return True


def _statistic(where: Any, name: Any) -> Callable:
    """Stand for ``getattr`` while a checkpoint is read: it resolves the statistics of ``HistoryBuffer``, no more."""
    if where is not HistoryBuffer or name not in STATISTICS:
        raise pickle.UnpicklingError(f'a checkpoint may not read the attribute {name!r} of {where!r}')
    return vars(HistoryBuffer)[name]
