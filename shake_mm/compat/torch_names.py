"""Names of torch younger than torch 2.0, the oldest that is supported; where torch has them, its own are used."""

import math
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

__all__ = [
    'ChannelShuffle',
    'all_finite',
    'autocast_off',
    'get_gradient_edge',
    'get_total_norm',
    'is_autocast_available',
    'set_submodule',
    'tree_leaves',
]

try:
    from torch.autograd.graph import get_gradient_edge
except ImportError:  # before torch 2.2

    def get_gradient_edge(tensor: Tensor) -> Any:
        """Stand for the place of a tensor in the graph: the tensor, which a later operation in place may move."""
        return tensor


try:
    from torch.utils._pytree import tree_leaves
except ImportError:  # before torch 2.2
    from torch.utils._pytree import tree_flatten

    def tree_leaves(tree: Any) -> list[Any]:
        """List what a nest of dicts, lists and tuples holds, in its order."""
        return tree_flatten(tree)[0]


try:
    from torch.nn.utils import get_total_norm
except ImportError:  # before torch 2.6

    def get_total_norm(tensors: Iterable[Tensor], norm_type: float = 2.0) -> Tensor:
        """Compute the norm of tensors as if they were one vector; 0 for none, a scalar on the first tensor's device."""
        tensors = list(tensors)
        if not tensors:
            return torch.tensor(0.0)
        norms = [torch.linalg.vector_norm(tensor, norm_type) for tensor in tensors]
        return torch.linalg.vector_norm(torch.stack([norm.to(tensors[0].device) for norm in norms]), norm_type)


def all_finite(tensors: list[Tensor]) -> bool:
    """Whether all numbers of tensors on the CPU are finite, which the host reads.

    AMP's scaler looks with one operation at all of them, on a CPU since torch 2.3, eight times faster for small ones
    than their norm, which serves where it cannot: for what is complex or laid over itself.
    """
    found, one = (torch.full((1,), value, dtype=torch.float32, device='cpu') for value in (0.0, 1.0))
    try:
        torch._amp_foreach_non_finite_check_and_unscale_(tensors, found, one)
    except (AttributeError, RuntimeError):
        return math.isfinite(get_total_norm(tensors).item())
    return found.item() == 0


try:
    from torch.amp import is_autocast_available
except ImportError:  # before torch 2.4

    def is_autocast_available(device_type: str) -> bool:
        """Whether a type of device has autocast: where it has none, torch refuses even to switch it off."""
        try:
            torch.autocast(device_type, enabled=False)
        except RuntimeError:
            return False
        return True


def autocast_off(device_type: str) -> AbstractContextManager:
    """Switch autocast off for a type of device, also for ``'meta'``, which has none to switch off."""
    return torch.autocast(device_type, enabled=False) if is_autocast_available(device_type) else nullcontext()


def set_submodule(network: nn.Module, name: str, module: nn.Module) -> None:
    """Put a module in the place of another, named as in ``network.named_modules()``; networks do so since torch 2.5."""
    if hasattr(network, 'set_submodule'):
        network.set_submodule(name, module)
        return
    parent, _, child = name.rpartition('.')
    setattr(network.get_submodule(parent), child, module)


class ChannelShuffle(nn.ChannelShuffle):
    """torch's own, where that can be trained; the one of torch 2.1 has no derivative and knows no meta device."""

    def forward(self, x: Tensor) -> Tensor:
        """Shuffle the channels of an input of shape (N, C, H, W)."""
        if _trains_channel_shuffle():
            return super().forward(x)
        return x.unflatten(1, (self.groups, -1)).transpose(1, 2).flatten(1, 2)


@cache
def _trains_channel_shuffle() -> bool:
    try:
        torch.channel_shuffle(torch.empty(1, 2, 1, 1, device='meta', requires_grad=True), 2)
    except RuntimeError:
        return False
    return True
