"""The weights of a checkpoint: which of its values they are, and how strictly they have to fit a network."""

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..safe_io import read

_SHOWN = 3


def read_checkpoint(source: str, where: str = 'checkpoint') -> dict:
    """Read a checkpoint, safely: :func:`shake_mm.safe_io.read`, which must give a dictionary.

    Args:
        source (str): File, any URL or name that mmengine loads, or the name of a config whose weights its package's
            model zoo lists, e.g. ``'mmdet::retinanet/retinanet_r101_fpn_2x_coco.py'``.
        where (str): Who asks, named in errors.

    Raises:
        UsageError: If the file is missing, truncated, not a checkpoint, or holds anything but plain data, or the zoo
            lists none.
    """
    loaded = read(source, where)
    if not isinstance(loaded, dict):
        raise UsageError(
            f"{where}: checkpoint '{source}' holds a {type(loaded).__name__}, not a state dict: give a checkpoint."
        )
    return loaded


def read_weights(source: str, where: str = 'checkpoint') -> dict[str, Tensor]:
    """Read a file's state dict: :func:`read_checkpoint` and :func:`weights_in`."""
    return weights_in(read_checkpoint(source, where), where, source)


def weights_in(loaded: dict, where: str, source: str) -> dict[str, Tensor]:
    """The state dict in a checkpoint that was read.

    Wrappers' prefixes (``module.``) are removed, and of a distiller's checkpoint the student is taken. What published
    checkpoints hold beside the network, copies of an old EMA hook and the preprocessor's constants, is left out.

    Raises:
        UsageError: If it holds none.
    """
    state = next((loaded[key] for key in ('state_dict', 'model') if isinstance(loaded.get(key), dict)), loaded)
    if not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise UsageError(f"{where}: checkpoint '{source}' holds no state dict: give a checkpoint.")
    bad = next((key for key, v in state.items() if v.is_floating_point() and v.isnan().any()), None)
    if bad is not None:
        raise UsageError(f"{where}: checkpoint '{source}' holds NaN, in {bad}: use an earlier one.")
    for prefix in ('module.', 'student.'):
        if any(key.startswith(prefix) for key in state):
            state = {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
    copies = {f'ema_{key.replace(".", "_")}' for key in state}
    return {key: v for key, v in state.items() if key not in copies and not key.startswith('data_preprocessor.')}


def load_strictly(module: nn.Module, state: dict[str, Tensor], where: str, source: str) -> None:
    """Load ``state`` into ``module`` if every key and shape agrees, else load nothing.

    BatchNorm's ``num_batches_tracked``, which old checkpoints lack, may be absent, and a layer that knows what its keys
    were called in former versions (mmdet's FCOS head) finds them.

    Raises:
        UsageError: Naming the keys that differ, and the class counts if it is the classifier that differs.
    """
    expected, state = module.state_dict(), _renamed(module, state)
    missing = [k for k in expected if k not in state and not k.endswith('num_batches_tracked')]
    unexpected = [k for k in state if k not in expected]
    reshaped = [k for k in expected if k in state and state[k].shape != expected[k].shape]
    if missing or unexpected or reshaped:
        raise UsageError(
            f"{where}: checkpoint '{source}' is of another network: "
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


def _renamed(module: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state with the keys that its layers give those of former versions."""
    state = dict(state)
    for name, layer in module.named_modules():
        plain = type(layer)._load_from_state_dict is nn.Module._load_from_state_dict
        if not plain and not layer._parameters and not layer._buffers:  # so that nothing is loaded yet
            layer._load_from_state_dict(state, f'{name}.' if name else '', {}, False, [], [], [])
    return state


def _listed(title: str, keys: list[str]) -> list[str]:
    if not keys:
        return []
    more = f' and {len(keys) - _SHOWN} more' if len(keys) > _SHOWN else ''
    return [f'{title} {", ".join(keys[:_SHOWN])}{more}']
