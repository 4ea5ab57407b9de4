"""A narrower network inside a network: the first channels of every layer, without a copy of their weights."""

import copy
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import UsageError
from ..utils import copy_module, image_channels

SLICED = (nn.Conv2d, nn.Linear)


class SharedLayer(nn.Module):
    """Computes what a layer of another network computes, on the first channels of its weights.

    The weights stay the other layer's: they are sliced anew in every pass (a view, no copy), their gradients land
    there, and this has no parameters, so that they are trained, saved and counted once.

    Args:
        owner (nn.Module): The layer whose weights are used.
        shapes (dict[str, tuple]): How much of each of its parameters, e.g. ``{'weight': (8, 4, 3, 3)}``.
        settings (dict[str, int]): Attributes of the narrower layer that differ, e.g. ``groups``.
    """

    def __init__(self, owner: nn.Module, shapes: dict[str, Sequence[int]], settings: dict[str, int]) -> None:
        super().__init__()
        self.__dict__['_owner'] = owner  # not a submodule: it belongs to the other network
        self.layer = copy_module(owner)
        self.layer._parameters.clear()
        for name, value in settings.items():
            setattr(self.layer, name, value)
        self.shapes = shapes

    def forward(self, *args: Any) -> Tensor:
        """What the other layer computes, on the first channels."""
        views = {name: self._view(name) for name in self.shapes}
        self.layer.__dict__.update(views)
        try:
            return self.layer(*args)
        finally:
            for name in views:
                del self.layer.__dict__[name]

    def _view(self, name: str) -> Tensor | None:
        parameter = getattr(self._owner, name)
        return None if parameter is None else parameter[tuple(slice(size) for size in self.shapes[name])]


def narrowed(network: nn.Module, width: float, input_size: Sequence[int]) -> tuple[nn.Module, int]:
    """A network of the first channels of every layer of a classifier's body.

    Convolutions and linear layers keep ``width`` of their outputs, rounded to a multiple of what grouped convolutions
    need, and of their inputs as many as arrive; depthwise convolutions follow their inputs. They share their weights
    with ``network``; BatchNorm is new, affine parameters and statistics (slimmable networks; Yu et al., 2019).

    Args:
        network (nn.Module): The classifier, whose head is left out.
        width (float): Share of the channels, in (0, 1].
        input_size (tuple[int, int]): Height and width of its images.

    Returns:
        tuple[nn.Module, int]: The narrower body, which ``extract_feat`` runs, and the channels of its features.

    Raises:
        UsageError: If there are layers that cannot be shared, or the widths do not fit each other.
    """
    if not 0 < width <= 1:
        raise UsageError(f'width is {width}, but it must be in (0, 1].')
    body = _body(network)
    _check(body)
    plan = _body(network).to('meta').eval()  # runs narrow, to find the widths that arrive
    multiple = _granularity(network)
    for layer in plan.modules():
        if isinstance(layer, (*SLICED, _BatchNorm)):
            layer.register_forward_pre_hook(_Narrow(width, multiple))
    try:
        with torch.no_grad():
            feats = plan.extract_feat(torch.empty(2, image_channels(plan), *input_size, device='meta'))
    except RuntimeError as error:
        reason = ' '.join(str(error).split())
        raise UsageError(
            f'width is {width}, whose layers do not fit each other in this student, use 0.5 or 0.75: {reason}.'
        ) from None
    owners, plans = dict(network.named_modules()), dict(plan.named_modules())
    for parent, name, path in list(_layers(body)):
        setattr(parent, name, _shared(owners[path], plans[path]))
    while isinstance(feats, (tuple, list)):
        feats = feats[-1]
    return body, feats.shape[1]


class _Narrow:
    """Pre-hook that cuts a layer on the meta device to what arrives and what it keeps, once."""

    def __init__(self, width: float, multiple: int) -> None:
        self.width, self.multiple, self.done = width, multiple, False

    def __call__(self, layer: nn.Module, args: tuple) -> None:
        if self.done:
            return
        self.done = True
        arriving = args[0].shape[1] if args[0].dim() == 4 else args[0].shape[-1]
        if isinstance(layer, _BatchNorm):
            _resize(layer, arriving)
            return
        weight = layer.weight
        if isinstance(layer, nn.Linear):
            kept = self._kept(layer.out_features)
            layer.in_features, layer.out_features, shape = arriving, kept, (kept, arriving)
        else:
            depthwise = layer.groups == layer.in_channels > 1
            kept = arriving * (layer.out_channels // layer.groups) if depthwise else self._kept(layer.out_channels)
            layer.groups = arriving if depthwise else layer.groups
            layer.in_channels, layer.out_channels = arriving, kept
            shape = (kept, arriving // layer.groups, *weight.shape[2:])
        layer.weight = nn.Parameter(weight.new_empty(shape))
        if layer.bias is not None:
            layer.bias = nn.Parameter(weight.new_empty(kept))

    def _kept(self, channels: int) -> int:
        return min(channels, max(1, math.floor(channels * self.width / self.multiple + 0.5)) * self.multiple)


def _granularity(network: nn.Module) -> int:
    """What all widths are multiples of: the groups of the convolutions that are neither plain nor depthwise."""
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    return math.lcm(*(layer.groups for layer in convolutions if layer.groups != layer.in_channels))


def _body(network: nn.Module) -> nn.Module:
    """A copy of the backbone and neck, as the classifier that runs them."""
    body = copy.copy(network)
    body.__dict__ = {**network.__dict__, '_modules': dict(network._modules)}
    body.head, body.data_preprocessor = None, None
    return copy_module(body)


def _check(body: nn.Module) -> None:
    for path, layer in body.named_modules():
        own = any(True for _ in layer.parameters(recurse=False))
        if own and not isinstance(layer, (*SLICED, _BatchNorm)):
            raise UsageError(
                f"the student's `{path}` is a {type(layer).__name__}, and only Conv2d, Linear and BatchNorm can be "
                'shared in part: use a ShadowHead or a ShadowNetwork.'
            )


def _layers(body: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """Layers with parameters: parent, name in it, and path."""
    for path, parent in body.named_modules():
        for name, layer in parent.named_children():
            if isinstance(layer, (*SLICED, _BatchNorm)):
                yield parent, name, f'{path}.{name}'.lstrip('.')


def _shared(owner: nn.Module, planned: nn.Module) -> nn.Module:
    if isinstance(owner, _BatchNorm):
        layer = copy_module(owner)
        _resize(layer, planned.num_features)
        layer.reset_parameters()
        return layer
    shapes = {name: tuple(parameter.shape) for name, parameter in planned.named_parameters(recurse=False)}
    absent = {name: () for name, parameter in owner._parameters.items() if parameter is None}
    sizes = (
        ('in_features', 'out_features') if isinstance(owner, nn.Linear) else ('in_channels', 'out_channels', 'groups')
    )
    return SharedLayer(owner, {**shapes, **absent}, {name: getattr(planned, name) for name in sizes})


def _resize(norm: _BatchNorm, channels: int) -> None:
    norm.num_features = channels
    for kind in (norm._parameters, norm._buffers):
        for name, tensor in kind.items():
            if tensor is not None and tensor.dim():
                cut = tensor.detach()[:channels].clone()
                kind[name] = nn.Parameter(cut) if kind is norm._parameters else cut
