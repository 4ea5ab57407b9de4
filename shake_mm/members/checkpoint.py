"""The one door through which foreign weights come in: read safely, compared strictly."""

import os

import torch
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

from ..errors import UsageError

_SHOWN = 3


def read_checkpoint(source: str, owner: str = 'checkpoint') -> dict:
    """Read a checkpoint file safely.

    Args:
        source (str): File, or any URL that mmengine loads.
        owner (str): Who asks, named in errors.

    Raises:
        UsageError: If the file is missing, truncated, not a checkpoint, or holds anything but plain data.
    """
    source = str(source)
    if '://' not in source and not os.path.isfile(source):
        raise UsageError(f"{owner}: checkpoint '{source}' does not exist: train it first, or correct the path.")
    try:
        # mmengine reads with torch's safe default; shake_mm.compat lets its own history objects pass.
        loaded = CheckpointLoader.load_checkpoint(source, map_location='cpu')
    except Exception as error:
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise UsageError(
            f"{owner}: checkpoint '{source}' cannot be read as weights, it is truncated, not a checkpoint, "
            f'or holds code ({reason}).'
        ) from None
    if not isinstance(loaded, dict):
        raise UsageError(f"{owner}: checkpoint '{source}' holds a {type(loaded).__name__}, not a state dict.")
    return loaded


def read_weights(source: str, owner: str = 'checkpoint') -> dict[str, Tensor]:
    """Read a file's state dict: :func:`read_checkpoint` and :func:`weights_in`."""
    return weights_in(read_checkpoint(source, owner), owner, source)


def weights_in(loaded: dict, owner: str, source: str) -> dict[str, Tensor]:
    """The state dict in a checkpoint that was read.

    Wrappers' prefixes (``module.``) are removed, and of a distiller's checkpoint the student is taken.

    Raises:
        UsageError: If it holds none.
    """
    state = next((loaded[key] for key in ('state_dict', 'model') if isinstance(loaded.get(key), dict)), loaded)
    if not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise UsageError(f"{owner}: checkpoint '{source}' holds no state dict.")
    for prefix in ('module.', 'student.'):
        if any(key.startswith(prefix) for key in state):
            state = {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
    return dict(state)


def load_strictly(module: nn.Module, state: dict[str, Tensor], owner: str, source: str) -> None:
    """Load ``state`` into ``module`` if every key and shape agrees, else load nothing.

    BatchNorm's ``num_batches_tracked``, which old checkpoints lack, may be absent.

    Raises:
        UsageError: Naming the keys that differ, and the class counts if it is the classifier that differs.
    """
    expected = module.state_dict()
    missing = [k for k in expected if k not in state and not k.endswith('num_batches_tracked')]
    unexpected = [k for k in state if k not in expected]
    reshaped = [k for k in expected if k in state and state[k].shape != expected[k].shape]
    if missing or unexpected or reshaped:
        raise UsageError(
            f"{owner}: checkpoint '{source}' is of another network: "
            + '; '.join(
                [
                    *_listed('missing', missing),
                    *_listed('unexpected', unexpected),
                    *_listed(
                        'shape differs',
                        [
                            f'{k} ({tuple(state[k].shape)} in the file, {tuple(expected[k].shape)} in the model)'
                            for k in reshaped
                        ],
                    ),
                ]
            )
            + ': give the config that it was trained with.'
        )
    with torch.no_grad():
        module.load_state_dict(state, strict=False)


def _listed(title: str, keys: list[str]) -> list[str]:
    if not keys:
        return []
    more = f' and {len(keys) - _SHOWN} more' if len(keys) > _SHOWN else ''
    return [f'{title} {", ".join(keys[:_SHOWN])}{more}']
