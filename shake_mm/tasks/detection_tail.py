"""The end of a head's classification tower, as a shadow has it that shares the layers before."""

import copy
import re
from collections.abc import Sequence
from typing import Any

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from ..compat.torch_names import set_submodule
from ..errors import UsageError
from ..utils import copy_module
from .detection_logits import logits_of

LAST = '_last'
"""What the name of a tap of a tower ends in that stands for its last layer."""


class Entry(nn.Module):
    """Stands for a layer of a tower: takes what that has made, before its activation, and activates it.

    Args:
        activate (nn.Module, optional): The activation; None where the head itself activates.
    """

    def __init__(self, activate: nn.Module | None) -> None:
        super().__init__()
        own: Any = copy.deepcopy(activate)
        if hasattr(own, 'inplace'):
            own.inplace = False  # the maps are the tap's
        self.activate = own

    def forward(self, x: Tensor) -> Tensor:
        """The activation of a map, or a copy, which the head may overwrite."""
        return x.clone() if self.activate is None else self.activate(x)


def shared_aliases(head: nn.Module | None, path: str) -> dict[str, str]:
    """Taps of the layers that a head of boxes classifies and regresses by: ``cls_tower1``, ``cls_tower``, and so on.

    Args:
        head (nn.Module, optional): The head of boxes.
        path (str): Its name.
    """
    number = len(getattr(head, 'shared_fcs', None) or ())
    taps = {f'cls_tower{i + 1}': f'{path}.shared_fcs.{i}' for i in range(number)}
    if number:
        taps |= {'cls_tower': taps[f'cls_tower{max(number - 1, 1)}'], f'cls_tower{LAST}': taps[f'cls_tower{number}']}
    return taps


def begin_behind(head: nn.Module, path: str, features: Any) -> None:
    """Let a head that classifies begin behind a layer of its tower; in place, those up to it go.

    Args:
        head (nn.Module): The head.
        path (str): Name of a tap: ``'cls_tower'`` (of the last layer but one, or the only one), ``'cls_tower2'`` or
            ``'cls_tower_last'``.
        features (Tensor | tuple[Tensor]): Something that the head takes, to try it out with.

    Raises:
        UsageError: If it has no tower, or its classes depend on more than that.
    """
    match, name, kind = re.fullmatch(rf'cls_tower(\d+|{LAST})?', path), _tower_of(head), type(head).__name__
    if match is None or name is None:
        raise UsageError(
            f"ShadowTower: a {kind} cannot be entered at '{path}': name a tap of its classification tower, "
            "source='student.cls_tower', or use dict(type='ShadowHead')."
        )
    probe, several = copy_module(head).eval(), not isinstance(features, Tensor)
    given, wanted = _passed(probe, name, match[1], _noise(features))
    probe = copy_module(head).eval()
    for changed in (probe, head):
        _cut(changed, name, match[1])
    with torch.no_grad():
        found = logits_of(probe).of(probe(tuple(given) if several else given[0]))
    pairs = zip(wanted, found) if several else [(wanted, found)]
    if not all(one.shape == other.shape and torch.allclose(one, other, atol=1e-4) for one, other in pairs):
        raise UsageError(
            f'ShadowTower: the classes of a {kind} depend on more than its classification tower: use '
            "dict(type='ShadowHead')."
        )


def make_linear(head: nn.Module) -> None:
    """Let what predicts the classes be a linear layer at each place: the middle of its kernels, newly drawn as they.

    Args:
        head (nn.Module): A head of which nothing but its classification tower and predictor is left.
    """
    for layer in _predictors(head).values():
        _keep_middle(layer)


def make_separable(head: nn.Module) -> None:
    """Let what predicts the classes be a filter of each channel, and a linear layer behind it.

    The filters have the size of the kernels, and begin as those that change nothing; see :func:`make_linear`.

    Args:
        head (nn.Module): A head of which nothing but its classification tower and predictor is left.

    Raises:
        UsageError: If its predictor is a linear layer already.
    """
    predictors = _predictors(head)
    if all(layer.kernel_size == (1, 1) for layer in predictors.values()):
        raise UsageError(
            f"ShadowTower: predictor='separable' splits a convolution, and what predicts the classes of a "
            f'{type(head).__name__} is linear already: leave it out.'
        )
    made: dict[nn.Module, nn.Module] = {}  # levels may share a predictor
    for place, layer in predictors.items():
        if layer not in made:
            number, settings = layer.in_channels, (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
            filters = nn.Conv2d(number, number, *settings, groups=number, bias=False).to(layer.weight)
            nn.init.dirac_(filters.weight, groups=number)
            _keep_middle(layer)
            layer.stride = (1, 1)
            made[layer] = nn.Sequential(filters, layer)
        set_submodule(head, place, made[layer])


PREDICTORS = {'linear': make_linear, 'separable': make_separable}
"""What may predict the classes of a shadow instead of the head's own convolution."""


def read_patches(head: nn.Module) -> tuple[int, int]:
    """Let what predicts the classes read patches of the size of its kernel, side by side, instead of whole maps.

    Args:
        head (nn.Module): A head of which nothing but the end of its classification tower and the predictor is left.

    Returns:
        tuple[int, int]: Height and width of the kernel, which all levels share.

    Raises:
        UsageError: If it is not one plain convolution a level that predicts.
    """
    layers, tower = list(_predictors(head).values()), getattr(head, 'cls_convs', None)
    if isinstance(tower, nn.Module) and any(isinstance(layer, nn.Conv2d) for layer in tower.modules()):
        raise UsageError('SparseShadow: it has to begin behind the last layer: source[0]="student.cls_tower_last".')
    sizes = {layer.kernel_size for layer in layers}
    plain = all(
        (layer.stride, layer.dilation, layer.padding_mode) == ((1, 1), (1, 1), 'zeros')
        and layer.padding == tuple(size // 2 for size in layer.kernel_size)
        for layer in layers
    )
    if len(sizes) != 1 or not plain:
        raise UsageError(
            f'SparseShadow: the classes of a {type(head).__name__} are not predicted by one plain convolution: use '
            'dict(type="ShadowTower", source="student.cls_tower_last").'
        )
    for layer in layers:
        layer.stride, layer.padding = layer.kernel_size, (0, 0)
    return sizes.pop()


def _predictors(head: nn.Module) -> dict[str, nn.Conv2d]:
    """The convolutions behind the tower that the classes depend on, by name."""
    tower = getattr(head, 'cls_convs', None)
    kept = {id(layer) for layer in (tower.modules() if isinstance(tower, nn.Module) else ())}
    return {
        name: layer
        for name, layer in head.named_modules(remove_duplicate=False)
        if isinstance(layer, nn.Conv2d) and id(layer) not in kept and layer.weight.requires_grad
    }


def _keep_middle(layer: nn.Conv2d) -> None:
    """Let a convolution, in place, read the place alone that it predicts for."""
    row, column = (size // 2 for size in layer.kernel_size)
    layer.weight = nn.Parameter(layer.weight.detach()[:, :, row, column, None, None].clone())
    layer.kernel_size, layer.padding = (1, 1), (0, 0)


def _tower_of(head: nn.Module) -> str | None:
    """Name of the layers before the predictor of the classes."""
    for name in ('shared_fcs', 'cls_convs'):
        layers = getattr(head, name, None)
        if isinstance(layers, nn.ModuleList) and len(layers):
            return name
    return None


def _levels(head: nn.Module, name: str) -> list[Any]:
    """The towers one by one: of some heads every level has its own."""
    tower = getattr(head, name)
    return list(tower) if isinstance(tower[0], (nn.ModuleList, nn.Sequential)) else [tower]


def _depth(number: int, name: str | None) -> int:
    """Which layer, from 1, of how many a tap of this ending means."""
    return {None: max(number - 1, 1), LAST: number}.get(name) or int(name or 0)


def _passed(head: nn.Module, name: str, depth: str | None, features: Any) -> tuple[list[Tensor], Any]:
    """What the layer of a depth makes of features, by level, and the logits."""
    seen: list[Tensor] = []
    for own in _levels(head, name):
        _before_activation(own[_depth(len(own), depth) - 1]).register_forward_hook(
            lambda layer, args, output: seen.append(output.clone())
        )
    with torch.no_grad():
        return seen, logits_of(head).of(head(features))


def _cut(head: nn.Module, name: str, depth: str | None) -> None:
    """Leave out the layers of the tower up to a depth."""
    towers = []
    for own in _levels(head, name):
        number = _depth(len(own), depth)
        last = own[number - 1]
        entry = Entry(last.activate if _activates(last) else None)
        towers.append(nn.ModuleList([entry, *list(own)[number:]]))
    by_level = isinstance(getattr(head, name)[0], (nn.ModuleList, nn.Sequential))
    setattr(head, name, nn.ModuleList(towers) if by_level else towers[0])
    if name == 'shared_fcs' and len(getattr(head, 'shared_convs', ())):
        head.shared_convs = nn.ModuleList()
        head.num_shared_convs = 0


def _activates(layer: nn.Module) -> bool:
    """Whether a layer ends in an activation, before which taps of towers read it."""
    return isinstance(layer, ConvModule) and layer.order[-1] == 'act' and layer.with_activation


def _before_activation(layer: Any) -> nn.Module:
    if not _activates(layer):
        return layer
    return layer.norm if layer.with_norm else layer.conv


def _noise(features: Any) -> Any:
    generator = torch.Generator().manual_seed(0)
    draw: Sequence[Tensor] = [features] if isinstance(features, Tensor) else features
    noise = [torch.randn(x.shape, generator=generator).to(x.device) for x in draw]
    return noise[0] if isinstance(features, Tensor) else tuple(noise)
