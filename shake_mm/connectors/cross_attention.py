"""A teacher's queries in a student's features, and how the teacher goes on from what they find (ScaleKD, 2024)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import MODELS


@MODELS.register_module()
class CrossAttentionProjector(nn.Module):
    r"""Projects a student's map to a teacher's by cross-attention: each of the teacher's places looks where to read.

    It is a shared connector of ``source=['student.fm', 'teacher0.fm']``; of the teacher's map only the shape counts.
    Keys and values are the student's places, behind a 3x3 convolution, a norm and a ReLU, with a learned position each.
    Queries are learned, one for each place of the teacher's, or are the places of a third map of the teacher's shape;
    they go through a 1x1 convolution and a ReLU. With h heads of width d

    .. math::
        A = \mathrm{softmax}(\beta \, Q K^\top / \sqrt{d}) \, V, \qquad
        Y = A' + W_2 \, \mathrm{ReLU}(W_1 A'), \qquad A' = \mathrm{LayerNorm}(W A)

    Args:
        in_shape (list): Shapes (C, H, W) of the student's and the teacher's map, and of the one that asks, if there is
            one; the distiller fills them in.
        head_channels (int): d, at most; h is as small as it can be. Defaults to 128, as of the authors' for Swin-S.
        sharpness (float): :math:`\beta`. Defaults to 5.

    Raises:
        UsageError: If they are no maps, or the one that asks is not of the teacher's shape.
    """

    def __init__(self, in_shape: Sequence[Any], head_channels: int = 128, sharpness: float = 5.0) -> None:
        super().__init__()
        if not isinstance(in_shape, list) or len(in_shape) not in (2, 3) or any(len(s or ()) != 3 for s in in_shape):
            raise UsageError(
                f'CrossAttentionProjector: `source` makes {in_shape}, but it must name maps of networks that run '
                "without data: the student's, the teacher's, and perhaps one that asks."
            )
        if tuple(in_shape[-1]) != tuple(in_shape[1]):
            raise UsageError(
                f"CrossAttentionProjector: the map that asks is of shape {tuple(in_shape[2])} and the teacher's "
                f'{tuple(in_shape[1])}: name one of the same.'
            )
        (mine, *size), (its, *grid) = in_shape[:2]
        self.grid, self.sharpness = tuple(grid), sharpness
        self.heads = next(h for h in range(1, its + 1) if its % h == 0 and its // h <= max(head_channels, 1))
        self.read = nn.Sequential(nn.Conv2d(mine, mine, 3, padding=1), nn.BatchNorm2d(mine), nn.ReLU())
        self.positions = nn.Parameter(torch.empty(1, mine, *size))
        nn.init.trunc_normal_(self.positions, std=0.02)
        self.queries = nn.Parameter(torch.randn(1, its, *grid)) if len(in_shape) == 2 else None
        self.ask = nn.Sequential(nn.Conv2d(its, its, 1), nn.ReLU())
        self.query, self.key, self.value = nn.Linear(its, its), nn.Linear(mine, its), nn.Linear(mine, its)
        self.merge, self.norm = nn.Linear(its, its), nn.LayerNorm(its)
        self.mix = nn.Sequential(nn.Linear(its, 4 * its), nn.ReLU(), nn.Linear(4 * its, its))

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Project.

        Args:
            features (Sequence[Tensor]): The student's map (N, C_s, H_s, W_s), the teacher's, which is not looked at,
                and the map that asks, if there is one.

        Returns:
            Tensor: A map (N, C_t, H_t, W_t).

        Raises:
            UsageError: If the student's map is of another size than the positions.
        """
        feature = features[0]
        if feature.shape[2:] != self.positions.shape[2:]:
            raise UsageError(
                f'CrossAttentionProjector: a map of {tuple(feature.shape[2:])} places, but it has positions for '
                f'{tuple(self.positions.shape[2:])}: set `model.input_size` to the size of the images.'
            )
        asking = features[2] if self.queries is None else self.queries
        places = _tokens(self.read(feature) + self.positions)
        asked = self._split(self.query(_tokens(self.ask(asking.to(feature.dtype)))))
        keys, values = self._split(self.key(places)), self._split(self.value(places))
        scores = asked @ keys.transpose(2, 3) * (self.sharpness / keys.shape[3] ** 0.5)
        found = (scores.softmax(-1) @ values).transpose(1, 2).flatten(2)
        found = self.norm(self.merge(found))
        return (found + self.mix(found)).transpose(1, 2).unflatten(2, self.grid)

    def _split(self, tokens: Tensor) -> Tensor:
        """Tokens (N, L, C) as (N, heads, L, C / heads)."""
        return tokens.unflatten(2, (self.heads, -1)).transpose(1, 2)


def _tokens(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2)


@MODELS.register_module()
class TeacherStages(nn.Module):
    """What a teacher's later stages make of a map that stands for one of its levels.

    It is a shared connector of ``source=['connectors.NAME', 'teacher0.fl']``: the map, and the level. The teacher's
    layers get no gradient.

    Args:
        behind (nn.Module): The stages behind the level; called with the map. The distiller fills it in.
        in_shape (list): Shapes of both, which must be equal; filled in likewise.

    Raises:
        UsageError: If they are not.
    """

    def __init__(self, behind: nn.Module, in_shape: Sequence[Any]) -> None:
        super().__init__()
        if not isinstance(in_shape, list) or len(in_shape) != 2 or in_shape[0] != in_shape[1]:
            raise UsageError(
                f'TeacherStages: `source` makes {in_shape}, but it must name a map and the level of the teacher that '
                "it stands for, of one shape: ['connectors.NAME', 'teacher0.fl']."
            )
        self.behind = behind

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Go on from a map (N, C, H, W); the level itself is not looked at."""
        return self.behind(features[0])
