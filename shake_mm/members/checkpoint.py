"""The one door through which foreign weights come in: read safely, compared strictly."""

import importlib.util
import os

import torch
from mmengine.hub import get_config
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

from ..errors import UsageError

_SHOWN = 3


def read_checkpoint(source: str, owner: str = 'checkpoint') -> dict:
    """Read a checkpoint file safely.

    Args:
        source (str): File, any URL that mmengine loads, or the name of a config whose weights its package's model zoo
            lists, e.g. ``'mmdet::retinanet/retinanet_r101_fpn_2x_coco.py'``.
        owner (str): Who asks, named in errors.

    Raises:
        UsageError: If the file is missing, truncated, not a checkpoint, or holds anything but plain data, or the zoo
            lists none.
    """
    source = _in_zoo(str(source), owner) if '::' in str(source) else str(source)
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


def _in_zoo(name: str, owner: str) -> str:
    """Address of the weights that a package lists for one of its configs."""
    package = name.partition('::')[0]
    # mmengine would install a package that it knows and does not find.
    known = importlib.util.find_spec(package) is not None if package.isidentifier() else False
    try:
        source = get_config(name, pretrained=True).get('model_path') if known else None
    except (AssertionError, OSError, ValueError):  # no such package, config, or weights
        source = None
    if source is None:
        raise UsageError(
            f"{owner}: checkpoint '{name}' names no config for which the model zoo of {package} lists weights: correct "
            'the name, or give a file or an address.'
        )
    return source


def read_weights(source: str, owner: str = 'checkpoint') -> dict[str, Tensor]:
    """Read a file's state dict: :func:`read_checkpoint` and :func:`weights_in`."""
    return weights_in(read_checkpoint(source, owner), owner, source)


def weights_in(loaded: dict, owner: str, source: str) -> dict[str, Tensor]:
    """The state dict in a checkpoint that was read.

    Wrappers' prefixes (``module.``) are removed, and of a distiller's checkpoint the student is taken. What published
    checkpoints hold beside the network, copies of an old EMA hook and the preprocessor's constants, is left out.

    Raises:
        UsageError: If it holds none.
    """
    state = next((loaded[key] for key in ('state_dict', 'model') if isinstance(loaded.get(key), dict)), loaded)
    if not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise UsageError(f"{owner}: checkpoint '{source}' holds no state dict.")
    for prefix in ('module.', 'student.'):
        if any(key.startswith(prefix) for key in state):
            state = {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
    copies = {f'ema_{key.replace(".", "_")}' for key in state}
    return {key: v for key, v in state.items() if key not in copies and not key.startswith('data_preprocessor.')}


def load_strictly(module: nn.Module, state: dict[str, Tensor], owner: str, source: str) -> None:
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
