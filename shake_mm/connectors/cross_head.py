"""Cross-head predictions: the student's features in a teacher's head (CrossKD, Wang et al., CVPR 2024)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import MODELS


def align_scale(feature: Tensor, target: Tensor) -> Tensor:
    """Give each channel of a map the mean and standard deviation that it has in a target's, in float32 at least.

    Args:
        feature (Tensor): Shape (N, C, H, W).
        target (Tensor): Shape (N, C, H, W); it gets no gradient.

    Returns:
        Tensor: Shape (N, C, H, W).
    """
    feature, target = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in (feature, target.detach()))
    (mean, std), (its_mean, its_std) = _moments(feature), _moments(target)
    return (feature - mean) / (std + 1e-6) * its_std + its_mean


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    dims = (0, 2, 3)
    several = x.numel() > x.shape[1]  # of a single value there is no unbiased deviation
    return x.mean(dims, keepdim=True), x.std(dims, correction=int(several), keepdim=True)


@MODELS.register_module()
class CrossHead(nn.Module):
    """What a teacher predicts of features of the student's head: they go on in the rest of the teacher's own head.

    It is a shared connector: its ``source`` are taps of the student's two towers and the same of the teacher, e.g.
    ``['student.cls_tower', 'student.reg_tower', 'teacher0.cls_tower', 'teacher0.reg_tower']``. The student's features
    get the mean and deviation of the teacher's, channel by channel. Where the widths differ (in the paper they are
    equal) a 1x1 convolution, trained along, leads from one to the other first. The teacher's layers get no gradient.

    Args:
        behind (nn.Module): What the head computes behind the taps; called with the maps of both towers by level. The
            distiller fills in the teacher's.
        in_shape (list): Shapes (C, H, W) of the maps of the four taps, each a list over levels; filled in likewise.

    Raises:
        UsageError: If the shapes are not those of four taps of as many levels.
    """

    def __init__(self, behind: nn.Module, in_shape: Sequence[Any]) -> None:
        super().__init__()
        sides = _four(in_shape)
        self.behind = behind
        self.adapt = nn.ModuleList(_adapter(mine, its) for mine, its in zip(sides[:2], sides[2:]))

    def forward(self, features: Sequence[Any]) -> Any:
        """Predict.

        Args:
            features (Sequence): Maps (N, C, H, W) of the student's and the teacher's towers, of the classes and of the
                boxes each, by level.

        Returns:
            list: What ``behind`` makes of them: class logits, boxes, and further outputs of the head, by level.
        """
        sides = _four(features)
        towers = []
        for adapt, mine, its in zip(self.adapt, sides[:2], sides[2:]):
            towers.append([_aligned(adapt(level), target) for level, target in zip(mine, its)])
        return self.behind(*towers)


def _four(values: Sequence[Any]) -> list[Sequence[Any]]:
    """The values of four taps, each by level; given so, or one after the other."""
    if len(values) != 4 or not all(isinstance(value, list) for value in values):
        values = [values[i * len(values) // 4 : (i + 1) * len(values) // 4] for i in range(4)]
    if not all(values) or len({len(value) for value in values}) != 1:
        raise UsageError(
            'CrossHead: `source` must name four taps of as many levels: student.cls_tower, student.reg_tower, and the '
            "teacher's."
        )
    return list(values)


def _adapter(mine: Sequence[Any], its: Sequence[Any]) -> nn.Module:
    if mine[0] is None or its[0] is None or mine[0][0] == its[0][0]:  # unknown ones are looked at in the first step
        return nn.Identity()
    return nn.Conv2d(mine[0][0], its[0][0], 1)


def _aligned(feature: Tensor, target: Tensor) -> Tensor:
    if feature.shape != target.shape:
        raise UsageError(
            f'CrossHead: a tower of the student makes {tuple(feature.shape)} and of the teacher {tuple(target.shape)}: '
            'give both heads one width and the same strides.'
        )
    return align_scale(feature, target)
