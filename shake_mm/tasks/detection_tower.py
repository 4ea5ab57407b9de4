"""The towers of a dense head: taps between their convolutions, and what a head computes behind one."""

import copy
import re
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn
from torch.func import functional_call

from ..errors import UsageError
from ..taps import Absent, Alias
from ..utils import twin_of
from .detection_boxes import boxes_of
from .detection_logits import logits_of

TOWERS = {'cls_tower': 'cls_convs', 'reg_tower': 'reg_convs'}
"""Names of the taps of the two towers, and of the lists of layers that mmdet's heads keep them in."""


def tower_aliases(head: nn.Module | None) -> dict[str, Alias]:
    """Taps of the maps of all levels in the two towers of a head.

    ``cls_tower2`` is what the second convolution of the classification tower makes, normalized, before its activation;
    ``cls_tower`` that of the last but one (of the only one in a tower of one), ``cls_tower_last`` of the last.
    ``reg_tower`` are those of the boxes.
    """
    depth = depth_of(head)
    if not depth:
        return dict.fromkeys(TOWERS, Absent(f'a {type(head).__name__} has no two towers (`cls_convs`, `reg_convs`)'))
    aliases: dict[str, Alias] = {}
    for name, layers in TOWERS.items():
        aliases |= {f'{name}{i + 1}': _tap(getattr(head, layers), f'bbox_head.{layers}', i) for i in range(depth)}
        aliases |= {name: aliases[f'{name}{max(depth - 1, 1)}'], f'{name}_last': aliases[f'{name}{depth}']}
    return aliases


def depth_of(head: nn.Module | None) -> int:
    """Number of layers of the towers; 0 of a head that has not two of a length."""
    depths: set[int] = set()
    for name in TOWERS.values():
        layers = getattr(head, name, None)
        if not isinstance(layers, nn.ModuleList) or not len(layers):
            return 0
        by_level = isinstance(layers[0], (nn.ModuleList, nn.Sequential))
        depths.update(len(level) for level in layers) if by_level else depths.add(len(layers))
    return depths.pop() if len(depths) == 1 else 0


def _tap(layers: nn.ModuleList, path: str, index: int) -> Alias:
    """The output of a layer of a tower, of all levels: of one that serves all of them each time that it runs."""
    if not isinstance(layers[0], (nn.ModuleList, nn.Sequential)):
        return f'{path}.{index}{_end(layers[index])}:each'
    return tuple(f'{path}.{level}.{index}{_end(own[index])}' for level, own in enumerate(layers))


def _end(layer: nn.Module) -> str:
    """The name of the layer before a layer's activation, below it; nothing of a layer that is not known."""
    if not isinstance(layer, ConvModule) or layer.order[-1] != 'act':
        return ''
    return f'.{layer.norm_name}' if layer.with_norm else '.conv'


class HeadBehind(nn.Module):
    """What a dense head computes behind a layer of its towers, by weights that stay the head's own.

    Args:
        head (nn.Module): The head. It is no part of this, and none of its hooks runs.
        depth (int): Of the layer, from 1.
    """

    def __init__(self, head: nn.Module, depth: int) -> None:
        super().__init__()
        self.__dict__['_head'] = head
        self.depth = depth

    def forward(self, classes: Sequence[Tensor], boxes: Sequence[Tensor]) -> list:
        """Complete the two towers and predict.

        Args:
            classes (Sequence[Tensor]): Maps (N, C, H, W) of the classification tower before the activation, by level.
            boxes (Sequence[Tensor]): Likewise of the tower of the boxes.

        Returns:
            list: The class logits, the decoded boxes (None of a head whose coding is not known), and the head's outputs
            but the first; each by level.
        """
        head = twin_of(self._head)
        dtype = next(head.parameters()).dtype  # a teacher may compute in half precision
        for name, maps in zip(TOWERS.values(), (classes, boxes)):
            _enter(getattr(head, name), self.depth, [level.to(dtype) for level in maps])
        # The levels are passed on to the layers that give the maps.
        return _predicted(head, self._head, tuple(level.to(dtype) for level in classes))


class WholeHead(nn.Module):
    """What a dense head computes behind the pyramid, by weights that stay the head's own.

    Args:
        head (nn.Module): The head. It is no part of this, and none of its hooks runs.
    """

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.__dict__['_head'] = head

    def forward(self, levels: Sequence[Tensor]) -> list:
        """Predict of maps (N, C, H, W) by level; what it gives is told by :meth:`HeadBehind.forward`."""
        head = twin_of(self._head)
        dtype = next(head.parameters()).dtype
        return _predicted(head, self._head, tuple(level.to(dtype) for level in levels))


def _predicted(head: nn.Module, original: nn.Module, feats: tuple[Tensor, ...]) -> list:
    """Class logits, boxes and the other outputs of a twin of a head."""
    if feats[0].is_meta:
        state = {name: tensor.detach().to('meta') for name, tensor in _state(head)}
        output = functional_call(head, state, (feats,), tie_weights=False)
    else:
        output = head(feats)
    logits, decode = logits_of(head).of(output), boxes_of(original)
    others = [_full(level) for level in output[1:]]
    return [_full(logits), None if decode is None else decode(others[0]), *others]


def head_behind(network: nn.Module, paths: Sequence[str], name: str) -> HeadBehind:
    """What a dense detector's head computes behind two taps of its towers.

    Args:
        network (nn.Module): The detector.
        paths (Sequence[str]): Names of the taps, such as ``'cls_tower3'`` and ``'reg_tower3'``.
        name (str): The member's, for errors.

    Raises:
        UsageError: If they are no taps of both towers at one depth, or it has none.
    """
    head = getattr(network, 'bbox_head', None)
    if not (number := depth_of(head)):
        raise UsageError(
            f'{name}: a {type(head or network).__name__} has no two towers of convolutions (`cls_convs`, `reg_convs`) '
            'behind which its head could go on: distill its features (f1, f2, …) or logits.'
        )
    found = [re.fullmatch(r'(cls_tower|reg_tower)(\d*)', path) for path in paths]
    depths = {int(match[2] or max(number - 1, 1)) for match in found if match}
    if [match and match[1] for match in found] != list(TOWERS) or len(depths) != 1:
        raise UsageError(
            f'{name}: its head goes on behind both of its towers at one depth, not behind {", ".join(paths)}: name '
            f"'{name}.cls_tower' and '{name}.reg_tower', or both with a number."
        )
    return HeadBehind(head, depths.pop())


class _Given(nn.Module):
    """Stands for a layer of a tower: gives the activation of a map instead, at each call the next level's."""

    def __init__(self, maps: Sequence[Tensor], activate: nn.Module | None) -> None:
        super().__init__()
        self.maps, self.activate = iter(maps), activate

    def forward(self, x: Tensor) -> Tensor:
        """The activation of the next map (N, C, H, W), whatever is read."""
        level = next(self.maps)
        return level if self.activate is None else self.activate(level)


def _enter(layers: nn.ModuleList, depth: int, maps: Sequence[Tensor]) -> None:
    """Let the layer at a depth give these maps, and those before it pass what they read."""
    by_level = isinstance(layers[0], (nn.ModuleList, nn.Sequential))
    towers = [(own, [level]) for own, level in zip(layers, maps)] if by_level else [(layers, maps)]
    for tower, levels in towers:
        last = tower[depth - 1]
        activate: Any = copy.copy(last.activate) if _end(last) and last.with_activation else None
        if hasattr(activate, 'inplace'):
            activate.inplace = False  # the maps are the caller's
        for index in range(depth - 1):
            tower[index] = nn.Identity()
        tower[depth - 1] = _Given(levels, activate)


def _state(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers, each once."""
    yield from module.named_parameters()
    yield from module.named_buffers()


def _full(maps: Any) -> Any:
    """Maps in single precision at least."""
    return [level.to(torch.promote_types(level.dtype, torch.float32)) for level in maps]
