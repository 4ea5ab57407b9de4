"""Which batch norm a feature comes from, found by a dry run, and which classifier is behind it: for parts that ask."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..members import Members
from ..taps import TapName, Taps
from ..utils import image_channels
from .behind import own_loss_of
from .dry_run import BATCH, Pass, on_meta


def norm_behind(members: Members, taps: Taps, sizes: Mapping[str, Sequence[int]], tap: str) -> nn.Module | None:
    """The last batch norm that ran before a tap, and has its channels.

    Of a residual block's sum that is the one on the main path: networks run their shortcuts first, and where they do
    not, the tap is computed from that norm, see :class:`~shake_mm.taps.names.Combined`.

    Args:
        members (Members): The networks.
        taps (Taps): Which knows the layers behind a tap.
        sizes (dict): Height and width of the images of each member.
        tap (str): One tap of a network.

    Returns:
        nn.Module | None: None if there is none, or the network does not run without data.
    """
    name = TapName.parse(taps.layers(tap)[0]) if isinstance(tap, str) else None
    network = None if name is None else members.networks.get(name.member)
    layers = {} if network is None else dict(network.named_modules())
    if network is None or name is None or name.path not in layers:
        return None
    seen: list[_BatchNorm] = []
    found: list[_BatchNorm] = []

    def at_tap(module: nn.Module, args: tuple, output: Any) -> None:
        value = args[0] if name.side else output
        channels = value.shape[1] if isinstance(value, torch.Tensor) else None
        found.extend([norm for norm in seen if norm.num_features == channels][-1:])

    norms = [layer for layer in layers.values() if isinstance(layer, _BatchNorm)]
    handles = [norm.register_forward_hook(lambda module, args, output: seen.append(module)) for norm in norms]
    handles.append(layers[name.path].register_forward_hook(at_tap))
    try:
        channels = members.task.channels or image_channels(network)
        images = torch.empty(BATCH, channels, *sizes[name.member], device='meta')
        with taps.paused():
            on_meta(Pass(network, members.dry_pass(taps)), images)
    except Exception:  # whatever a layer does with tensors that have no data
        return None
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None


def part_behind(
    members: Members,
    taps: Taps,
    sizes: Mapping[str, Sequence[int]],
    sources: Mapping[str, str | Sequence[str]],
    fact: str,
    tap: str,
) -> nn.Module | None:
    """What a part of a term asks for: see :func:`norm_behind` and :func:`~shake_mm.engine.behind.own_loss_of`.

    The third is the classifier of the network that a tap is of.

    Args:
        members (Members): The networks.
        taps (Taps): Which knows the layers behind a tap.
        sizes (dict): Height and width of the images of each member.
        sources (dict): What the shared connectors read, by the tap that each makes.
        fact (str): ``'in_norm'``, ``'classifier'`` or ``'own_loss'``.
        tap (str): One tap of a network.

    Returns:
        nn.Module | None: None if there is none.
    """
    if fact == 'in_norm':
        return norm_behind(members, taps, sizes, tap)
    if fact == 'own_loss':
        return own_loss_of(members, sources, tap)
    name = TapName.parse(tap).member if isinstance(tap, str) else ''
    return members.task.classifier(members.networks[name], name) if name in members.networks else None
