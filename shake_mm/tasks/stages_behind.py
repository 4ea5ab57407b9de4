"""The later stages of a classifier's backbone, behind features that stand for what an earlier one makes."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from mmpretrain.models.backbones.resnet import ResNet
from mmpretrain.models.backbones.swin_transformer import SwinTransformer
from torch import Tensor, nn
from torch.func import functional_call

from ..errors import UsageError
from ..models.backbones.staged import StagedBackbone
from ..taps import Alias, Combined
from ..utils import twin_of


def swin_levels(backbone: Any) -> dict[str, Alias]:
    """Maps ``f1``, ``f2``, … of the stages of mmpretrain's Swin, before they are merged, normed where it norms them."""
    if not _is_swin(backbone):
        return {}
    taps = {f'f{i + 1}': (f'backbone.stages.{i}', f'backbone.norm{i}') for i in range(len(backbone.stages))}
    normed = dict(backbone.named_children())
    return {
        name: Combined((stage, norm) if norm.partition('.')[2] in normed else (stage,), _map)
        for name, (stage, norm) in taps.items()
    }


def _map(stage: tuple[Tensor, Sequence[int]], normed: Tensor | None = None) -> Tensor:
    """Tokens (N, L, C) as a map (N, C, H, W)."""
    tokens, size = stage
    return (tokens if normed is None else normed).transpose(1, 2).unflatten(2, tuple(size))


def _is_swin(backbone: Any) -> bool:
    return isinstance(backbone, SwinTransformer) and not backbone.out_after_downsample


class StagesBehind(nn.Module):
    """What the later stages of a backbone make of a map, by weights that stay the backbone's own.

    Args:
        backbone (nn.Module): It is no part of this, and none of its hooks runs.
        stages (Sequence[int]): Numbers of the stages, from 1.
    """

    def __init__(self, backbone: nn.Module, stages: Sequence[int]) -> None:
        super().__init__()
        self.__dict__['_backbone'] = backbone
        self.stages = tuple(stages)

    def forward(self, feature: Tensor) -> Tensor:
        """A map (N, C, H, W) in place of the last stage's before them, to the one that the last of them makes."""
        module = _Run(twin_of(self._backbone), self.stages)
        if not feature.is_meta:
            return module(feature)
        named = (*module.named_parameters(), *module.named_buffers())
        state = {name: tensor.detach().to('meta') for name, tensor in named}
        return functional_call(module, state, (feature,), tie_weights=False)


class _Run(nn.Module):
    """Stages of a backbone, as a module."""

    def __init__(self, backbone: nn.Module, stages: Sequence[int]) -> None:
        super().__init__()
        self.backbone, self.stages = backbone, stages

    def forward(self, feature: Tensor) -> Tensor:
        x = feature.to(next(self.backbone.parameters()).dtype)  # a teacher may compute in half precision
        if _is_swin(self.backbone):
            x = _swin(self.backbone, x, self.stages)
        else:
            for number in self.stages:
                x = _stage_of(self.backbone, number)(x)
        return x.to(torch.promote_types(x.dtype, torch.float32))


def _stage_of(backbone: Any, number: int) -> Callable[[Tensor], Tensor]:
    if isinstance(backbone, StagedBackbone):
        return partial(backbone.stage, number)
    return getattr(backbone, backbone.res_layers[number - 1])


def _swin(backbone: Any, x: Tensor, stages: Sequence[int]) -> Tensor:
    size = tuple(x.shape[2:])
    x = x.flatten(2).transpose(1, 2)
    for number in stages:
        before = backbone.stages[number - 2].downsample
        x, size = (x, size) if before is None else before(x, size)
        x, size = backbone.stages[number - 1](x, size, do_downsample=False)
    norm = getattr(backbone, f'norm{stages[-1] - 1}', None)
    return _map((x, size), None if norm is None else norm(x))


def stages_behind(network: nn.Module, paths: Sequence[str], name: str) -> StagesBehind:
    """The stages of a classifier behind one of its levels.

    Args:
        network (nn.Module): The classifier.
        paths (Sequence[str]): The level: ``['f3']``, ``['fl']`` for the last but one.
        name (str): The member's, for errors.

    Raises:
        UsageError: If its stages are not known as layers one after the other, or none is behind.
    """
    backbone: Any = getattr(network, 'backbone', None)
    if _is_swin(backbone):
        number = len(backbone.stages)
    else:
        number = getattr(backbone, 'num_stages', 0) if isinstance(backbone, (StagedBackbone, ResNet)) else 0
    named = {f'f{i}': i for i in range(1, number)} | ({'fl': number - 1} if number > 1 else {})
    if len(paths) != 1 or paths[0] not in named:
        raise UsageError(
            f'{name}: how a {type(backbone or network).__name__} goes on behind {", ".join(paths)} is not known: name '
            f"one level before its last, such as '{name}.fl', of a ResNet, a Swin, or a network of the CRD benchmark."
        )
    return StagesBehind(backbone, range(named[paths[0]] + 1, number + 1))
