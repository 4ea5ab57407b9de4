"""The weights of a checkpoint: which of its values they are, and how strictly they have to fit a network."""

from collections import OrderedDict
from collections.abc import Collection
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from ..errors import UsageError
from ..safe_io import read
from .layouts import COUNTERS, SHARE, Origin, distiller_prefix, find_prefix, find_state, without_prefix
from .naming import mend_for, mmpretrain_name, torchvision_name

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


def read_weights(
    source: str, where: str = 'checkpoint', network: nn.Module | None = None, key: str | None = None
) -> dict[str, Tensor]:
    """Read a file's state dict: :func:`read_checkpoint` and :func:`weights_in`."""
    return weights_in(read_checkpoint(source, where), where, source, network, key)


def weights_in(
    loaded: dict,
    where: str,
    source: str,
    network: nn.Module | None = None,
    key: str | None = None,
    whole: bool = False,
    tell: bool = True,
) -> dict[str, Tensor]:
    """The state dict in a checkpoint that was read, under the names of a network.

    Taken is what stands under the first known key, without the prefix that wrappers, other libraries and distillers
    put before each name; of our distillers' checkpoints, the student. torchvision's names of a ResNet become
    mmpretrain's. What published files hold beside the network is left out: copies of an old EMA hook, the constants of
    the preprocessor, thop's counters and what is no tensor. What was done is told in the log.

    Args:
        loaded (dict): What was read.
        where (str): Who asks, named in errors.
        source (str): The file, named in errors.
        network (nn.Module, optional): The network that the weights are for.
        key (str, optional): Where in the file the weights are, instead of a known key.
        whole (bool): Whether a distiller's checkpoint is taken with all its members. Defaults to False.
        tell (bool): Whether the log says what was done. Defaults to True.

    Raises:
        UsageError: If it holds none, or several networks side by side, or NaN.
    """
    origin, names = Origin(where, source), None if network is None else network.state_dict().keys()
    values, path, beside = find_state(loaded, origin, key)
    prefix = distiller_prefix(values) if whole else None
    prefix, renamed = (prefix, False) if prefix is not None else _prefix_in(values, names, origin)
    state, extra = _weights_alone(without_prefix(values, prefix), names or ())
    extra += [str(name) for name in values if not str(name).startswith(prefix)]
    if not state:
        raise origin.error('holds no state dict: give a checkpoint')
    bad = next((name for name, v in state.items() if v.is_floating_point() and v.isnan().any()), None)
    if bad is not None:
        raise origin.error(f'holds NaN, in {prefix}{bad}: use an earlier one')
    if renamed:
        state = {mmpretrain_name(name): value for name, value in state.items()}
    if tell:
        taken = [f'taken from `{path}`'] if beside or path not in ('', 'state_dict') else []
        _tell(origin, taken + _listed('not from', beside), prefix, renamed, extra)
    return state


def _prefix_in(values: dict, names: Collection[str] | None, origin: Origin) -> tuple[str, bool]:
    """The prefix of the names in a file, and whether they are torchvision's."""
    prefix = find_prefix(values, names, origin)
    if prefix is None and any('layer4.' in str(name) for name in values):
        published = {torchvision_name(name) for name in names or ()}
        other = find_prefix(values, published, origin) or ''
        # Old files lack these counts.
        mine, state = (
            {name for name in some if not str(name).endswith('num_batches_tracked')}
            for some in (published, without_prefix(values, other))
        )
        if 'fc.weight' in state and len(mine & state) >= SHARE * max(len(mine), len(state)):
            return other, True
    return prefix or '', False


def _weights_alone(values: dict, names: Collection[str]) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors of a network, and the names of what stands beside them."""
    copies = {f'ema_{str(name).replace(".", "_")}' for name in values}

    def belongs(name: Any, value: Any) -> bool:
        if not isinstance(name, str) or not isinstance(value, Tensor):
            return False
        counted = name.rpartition('.')[2] in COUNTERS
        return name in names or not (name in copies or counted or name.startswith('data_preprocessor.'))

    extra = [str(name) for name, value in values.items() if not belongs(name, value)]
    if not extra:
        return values, []
    state = OrderedDict((name, value) for name, value in values.items() if belongs(name, value))
    vars(state)['_metadata'] = getattr(values, '_metadata', OrderedDict())
    return state, extra


def _tell(origin: Origin, done: list[str], prefix: str, renamed: bool, extra: list[str]) -> None:
    done += [f'names without `{prefix}`'] if prefix else []
    done += ["torchvision's names of a ResNet became mmpretrain's"] if renamed else []
    done += _listed('left out', extra)
    if done:
        print_log(f"{origin.where}: checkpoint '{origin.source}': {'; '.join(done)}", 'current')


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
            + f': {mend_for(state)}.'
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
