"""Helpers for PyTorch modules."""

import copy
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from mmengine.model import is_model_wrapper
from torch import nn

M = TypeVar('M', bound=nn.Module)

_HOOKS = (
    '_forward_hooks',
    '_forward_hooks_with_kwargs',
    '_forward_hooks_always_called',
    '_forward_pre_hooks',
    '_forward_pre_hooks_with_kwargs',
    '_backward_hooks',
    '_backward_pre_hooks',
)


def copy_module(module: M) -> M:
    """Copy a module and its weights, without the hooks that others have put on its layers.

    A hook belongs to whoever registered it. A plain ``copy.deepcopy`` would hand the copy hooks that nobody knows of,
    and with a tap's recorder every tensor that it records from then on. Hooks by which ``torch.nn.utils`` computes
    weights (``weight_norm``, ``spectral_norm``) are part of their layer and are kept.

    Args:
        module (nn.Module): What is copied; it stays as it is.

    Returns:
        nn.Module: The copy.
    """
    memo: dict[int, Any] = {}
    for layer in module.modules():
        for name in _HOOKS:
            hooks = getattr(layer, name, None)
            if hooks is not None:
                # A dict that stands in the memo is taken for its own copy.
                memo[id(hooks)] = OrderedDict((key, copy.deepcopy(hook)) for key, hook in _torch_s_own(hooks))
    return copy.deepcopy(module, memo)


@contextmanager
def hooks_restored(*modules: nn.Module) -> Iterator[None]:
    """Take away, in the end, the hooks that were put on layers of modules meanwhile.

    Args:
        *modules (nn.Module): Networks that are lent, and go back to their owner as they came.
    """
    dicts = [
        hooks
        for module in modules
        for layer in module.modules()
        for name in _HOOKS
        if (hooks := getattr(layer, name, None)) is not None
    ]
    before = [set(hooks) for hooks in dicts]
    try:
        yield
    finally:
        for hooks, known in zip(dicts, before):
            for key in set(hooks) - known:
                del hooks[key]


def image_channels(network: nn.Module) -> int:
    """Channels of the images that a network takes, as far as its first convolution tells: 1 for gray ones, 4, or 3."""
    first = next((layer.in_channels for layer in network.modules() if isinstance(layer, nn.Conv2d)), 3)
    return first if first in (1, 2, 4) else 3


def _torch_s_own(hooks: Mapping[int, Any]) -> list[tuple[int, Any]]:
    """Those by which a layer computes its weights."""
    return [(key, hook) for key, hook in hooks.items() if type(hook).__module__.startswith('torch.nn.utils')]


def unwrap_model(model: nn.Module) -> nn.Module:
    """The model inside a distributed wrapper, or the model itself where there is none."""
    return model.module if is_model_wrapper(model) else model


def twin_of(module: M) -> M:
    """A module of its own layers and without hooks, whose parameters and buffers are those of another.

    Whatever changes them (training, ``.to()``, a checkpoint) changes both; a layer of the twin can be exchanged, and
    the other keeps its own.

    Args:
        module (nn.Module): What the twin is of; it stays as it is.

    Returns:
        nn.Module: The twin.
    """
    twins: dict[int, nn.Module] = {}

    def twin(layer: nn.Module) -> nn.Module:
        if id(layer) not in twins:
            twins[id(layer)] = made = copy.copy(layer)  # shares the dicts of parameters and buffers
            for name in _HOOKS:
                if (hooks := getattr(layer, name, None)) is not None:
                    setattr(made, name, OrderedDict(_torch_s_own(hooks)))
            children = layer._modules.items()
            made._modules = {name: None if child is None else twin(child) for name, child in children}
        return twins[id(layer)]

    return twin(module)
