"""The classification branch of a detector's head: found by its gradients, copied without the rest."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..errors import UsageError
from ..utils import copy_module


class Nothing(nn.Module):
    """Stands for a layer that only the boxes need: one channel of zeros, without parameters."""

    def forward(self, x: Tensor, *args: Any) -> Tensor:
        """Zeros of shape (N, 1, ...) for an input of shape (N, C, ...)."""
        return x.new_zeros(x.shape[0], 1, *x.shape[2:])


class ClassificationBranch(BaseModule):
    """The part of a detection head that its class scores depend on, with weights of its own, initialized anew.

    Args:
        head (nn.Module): The head whose architecture is copied; its ``forward`` returns the scores first.
        features (Tensor | tuple[Tensor]): Something that the head takes, to find the branch by.
    """

    def __init__(self, head: nn.Module, features: Any) -> None:
        super().__init__()
        wanted = reached(probe_of(head), features, 0)
        whole = _initialized(copy_module(head))  # before layers go: some heads initialize those that it will lack
        parameters = dict(whole.named_parameters())
        self.head = _without(whole, {id(parameters[name]) for name in wanted})

    def init_weights(self) -> None:
        """Do nothing: the branch was initialized when it was built."""

    def forward(self, features: Any) -> Any:
        """The scores: (R, K) for RoI features, a list of (N, A * C, H, W) for a pyramid."""
        scores = self.head(features)[0]
        return scores if isinstance(scores, Tensor) else list(scores)


class LogitsOnly:
    """While it is entered, a head runs without the layers that its class scores do not depend on.

    Args:
        head (nn.Module): The head; its other outputs mean nothing in the meantime.
        features (tuple[Tensor]): Something that the head takes.
    """

    def __init__(self, head: nn.Module, features: tuple[Tensor, ...]) -> None:
        names = reached(probe_of(head), features, 0)
        wanted = {id(parameter) for name, parameter in head.named_parameters() if name in names}
        self._places = [(parent, name, getattr(parent, name)) for parent, name in _unwanted(head, wanted)]

    def __enter__(self) -> None:
        for parent, name, _ in self._places:
            setattr(parent, name, Nothing())

    def __exit__(self, *error: object) -> None:
        for parent, name, layer in self._places:
            setattr(parent, name, layer)


def probe_of(head: nn.Module) -> nn.Module:
    """A copy of a head to try things on, without hooks, and in full precision whatever the head computes in."""
    return copy_module(head).eval().float().requires_grad_(True)


def reached(head: nn.Module, features: Any, output: int) -> set[str]:
    """Names of the parameters that one of a head's outputs depends on."""
    with torch.enable_grad():
        outputs = head(features)[output]
        total = sum(item.float().sum() for item in ([outputs] if isinstance(outputs, Tensor) else outputs))
        named = dict(head.named_parameters())
        found = torch.autograd.grad(total, list(named.values()), allow_unused=True)
    return {name for name, gradient in zip(named, found) if gradient is not None}


def pyramid(channels: Sequence[int], device: torch.device) -> tuple[Tensor, ...]:
    """Features of an image, as small as a pyramid can be; any will do to find a branch."""
    generator = torch.Generator().manual_seed(0)
    sizes = [max(2, 2 ** (len(channels) - 1 - i)) for i in range(len(channels))]
    return tuple(torch.randn(1, c, s, s, generator=generator).to(device) for c, s in zip(channels, sizes))


def check_separable(head: nn.Module, features: tuple[Tensor, ...], where: str) -> None:
    """Refuse a dense head whose first output is not made of class logits with layers of their own.

    Raises:
        UsageError: With the reason.
    """
    name, head = type(head).__name__, probe_of(head)
    with torch.no_grad():
        outputs = head(features)
        if not isinstance(outputs, tuple) or len(outputs) < 2:
            raise UsageError(f'{where}: {name} gives classes and boxes in one output, so they cannot be told apart.')
        large = head(tuple(1e3 * level for level in features))[0]
    shared = reached(head, features, 0) & reached(head, features, 1)
    if shared:
        layers = ', '.join(sorted({parameter.partition('.')[0] for parameter in shared}))
        raise UsageError(
            f'{where}: the classification branch of {name} cannot be separated, its classes and boxes share {layers}: '
            'distil features (f1, f2, …).'
        )
    if all(bool(((level >= 0) & (level <= 1)).all()) for level in large):
        raise UsageError(f'{where}: {name} gives probabilities instead of logits: distil features (f1, f2, …).')


def _initialized(head: nn.Module) -> nn.Module:
    """Initialize a head as if it were new: a shadow does not begin with what the head has learned."""
    for layer in head.modules():
        if hasattr(layer, 'reset_parameters'):
            layer.reset_parameters()
        if isinstance(layer, BaseModule):
            layer.is_init = False
    head.init_weights()
    return head


def _without(module: nn.Module, wanted: set[int]) -> nn.Module:
    """Replace the layers without a wanted parameter; freeze the unwanted parameters of the others."""
    for parent, name in list(_unwanted(module, wanted)):
        setattr(parent, name, Nothing())
    for parameter in module.parameters():
        parameter.requires_grad_(id(parameter) in wanted)
    return module


def _unwanted(module: nn.Module, wanted: set[int]) -> Iterator[tuple[nn.Module, str]]:
    """The layers without a wanted parameter; containers stay, for heads that iterate over them."""
    for name, child in module.named_children():
        own = {id(parameter) for parameter in child.parameters()}
        if own and wanted.isdisjoint(own) and not isinstance(child, (nn.ModuleList, nn.ModuleDict)):
            yield module, name
        elif own:
            yield from _unwanted(child, wanted)
