"""The one door through which foreign weights come in: read safely, compared strictly."""

import importlib.util
import os
import re
import warnings

import torch
from mmengine.hub import get_config
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

from ..errors import UsageError

_SHOWN = 3
_GLOBAL = re.compile(r'GLOBAL (\S+)')


def read_checkpoint(source: str, where: str = 'checkpoint') -> dict:
    """Read a checkpoint file safely.

    Args:
        source (str): File, any URL that mmengine loads, or the name of a config whose weights its package's model zoo
            lists, e.g. ``'mmdet::retinanet/retinanet_r101_fpn_2x_coco.py'``.
        where (str): Who asks, named in errors.

    Raises:
        UsageError: If the file is missing, truncated, not a checkpoint, or holds anything but plain data, or the zoo
            lists none.
    """
    source = _in_zoo(str(source), where) if '::' in str(source) else str(source)
    if '://' not in source and not os.path.isfile(source):
        raise UsageError(f"{where}: checkpoint '{source}' does not exist: train it first, or correct the path.")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', 'Detected pickle protocol')  # of files that are refused in the end
            # mmengine reads with torch's safe default; shake_mm.compat lets its own history objects pass.
            loaded = CheckpointLoader.load_checkpoint(source, map_location='cpu')
    except Exception as error:
        raise UsageError(f"{where}: checkpoint '{source}' {_defect(source, error)}.") from None
    if not isinstance(loaded, dict):
        raise UsageError(
            f"{where}: checkpoint '{source}' holds a {type(loaded).__name__}, not a state dict: give a checkpoint."
        )
    return loaded


def _defect(source: str, error: Exception) -> str:
    """What is wrong with a checkpoint that cannot be read, and the mend; not torch's advice to read it unsafely."""
    if '://' in source and isinstance(error, OSError):
        return (
            f'cannot be fetched ({" ".join(str(error).split())}): check the network and the folder TORCH_HOME, or '
            'download it and give the file'
        )
    code = _GLOBAL.search(str(error))
    if code is not None:
        return (
            f'cannot be read, as it holds code (`{code[1]}`), which is not run: publish it again with weights and '
            'plain values only'
        )
    return (
        f'cannot be read as weights ({type(error).__name__}), it is truncated or not a checkpoint: save or download it '
        'again'
    )


def _in_zoo(name: str, where: str) -> str:
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
            f"{where}: checkpoint '{name}' names no config for which the model zoo of {package} lists weights: correct "
            'the name, or give a file or an address.'
        )
    return source


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
