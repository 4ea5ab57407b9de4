"""How many levels the pyramid of a detector has, where neither its neck nor its head says so."""

from collections.abc import Callable
from contextlib import suppress
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.func import functional_call

_COUNTED: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()
_SIZE = 128


class _Trunk(nn.Module):
    """Makes a detector's ``extract_feat`` a module, which is what torch runs with other parameters."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> object:
        """What the backbone, and the neck if there is one, make of images (N, 3, H, W)."""
        return self.network.extract_feat(inputs)


def count_levels(network: nn.Module) -> int:
    """Number of maps that a detector's backbone and neck make; 0 if they cannot be tried out.

    They run once for each network, without data where their layers allow it.

    Args:
        network (nn.Module): The detector; its modes and statistics stay as they are.
    """
    if network not in _COUNTED:
        _COUNTED[network] = 0
        modes = {layer: layer.training for layer in network.modules()}
        for layer in modes:
            layer.training = False
        try:
            for run in (_without_data, _on_zeros):
                with suppress(Exception), torch.no_grad():  # whatever a layer does with such images
                    _COUNTED[network] = _maps(run(network))
                    break
        finally:
            for layer, mode in modes.items():
                layer.training = mode
    return _COUNTED[network]


def _without_data(network: nn.Module) -> object:
    trunk = _Trunk(network)
    state = {name: tensor.detach().to('meta') for group in _tensors(trunk) for name, tensor in group()}
    images = torch.empty(1, 3, _SIZE, _SIZE, device='meta')
    # Of a layer that stands in two places (in a head, say), torch would put back the stand-ins in the end.
    return functional_call(trunk, state, (images,), tie_weights=False)


def _tensors(module: nn.Module) -> tuple[Callable, Callable]:
    return module.named_parameters, module.named_buffers


def _on_zeros(network: nn.Module) -> object:
    return network.extract_feat(torch.zeros(1, 3, _SIZE, _SIZE, device=next(network.parameters()).device))


def _maps(output: object) -> int:
    maps = isinstance(output, (tuple, list)) and all(isinstance(x, Tensor) and x.dim() == 4 for x in output)
    return len(output) if maps else 0  # type: ignore[arg-type]
