"""A dense detector's shadow that predicts at the places alone where its teacher is surest of an object."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import UsageError
from ..registry import MODELS
from .shadow_head import ShadowHead


@MODELS.register_module()
class SparseShadow(ShadowHead):
    """A predictor of a shadow's own behind the student's tower, at a share of the places; elsewhere, the teacher.

    A dense detector compares its classes at thousands of places, of which those count where the teacher sees an
    object: :class:`DenseKLLoss` weighs them by its confidence. This shadow runs a copy of the student's predictor,
    initialized anew, at the surest places of each level and image, a fixed number of them, so that nothing waits for a
    device. At all others its logits are the teacher's: there the student learns from the teacher, as by KD, and the
    shadow learns nothing. It exists in training only.

    Args:
        head (nn.Module): The branch. The distiller fills in one of the student's own architecture.
        source (Sequence[str]): The taps of the student's tower behind its last layer, and of the teacher's logits.
        places (float): Share of the places of each level, larger than 0 and at most 1. Defaults to 0.25.
        init_cfg (dict, optional): Initialization, see :class:`mmengine.model.BaseModule`.

    Raises:
        UsageError: If the student is no dense detector whose classes are predicted by a convolution behind its tower,
            or ``places`` is no such share.
    """

    reads = ('student.cls_tower_last', 'teacher*.logits')

    def __init__(
        self, head: Any, source: Sequence[str] = reads, places: float = 0.25, init_cfg: dict | None = None
    ) -> None:
        super().__init__(head, init_cfg=init_cfg)
        self.source: Any = source
        if isinstance(source, str) or len(source) != 2:
            raise UsageError(
                f'SparseShadow: source={source!r}, but it reads two taps, the end of the tower and the logits of the '
                'teacher: leave it out.'
            )
        if not 0 < places <= 1:
            raise UsageError(f'SparseShadow: places={places}, but it is a share: give more than 0 and at most 1.')
        if not hasattr(self.head, 'read_patches'):
            raise UsageError(
                f'SparseShadow: a {type(self.head).__name__} predicts at no places: use dict(type="ShadowTower", '
                'source="student.cls_tower_last").'
            )
        self.places = places
        self.head.begin_behind(source[0].partition('.')[2])
        self.kernel = self.head.read_patches()

    def forward(self, taps: Any) -> list[Tensor]:
        """Predict where the teacher is surest.

        Args:
            taps (list): The tower's maps (N, C, H, W) of all levels, and the teacher's logits (N, A * K, H, W) of them.

        Returns:
            list[Tensor]: Logits (N, A * K, H, W) of the levels.
        """
        towers, logits = taps
        chosen = [self.head.surest(level, self.places) for level in logits]
        predicted = self.head([patches(*level, self.kernel) for level in zip(towers, chosen, strict=True)])
        return [put(*level) for level in zip(logits, chosen, predicted)]


def patches(maps: Tensor, places: Tensor, kernel: tuple[int, int]) -> Tensor:
    """What a kernel reads at places (N, k) of maps (N, C, H, W), zeros beyond the border: (N, C, height, k * width)."""
    height, width = kernel
    padded = F.pad(maps, (width // 2, width // 2, height // 2, height // 2))
    row, column = places // maps.shape[3], places % maps.shape[3]
    below, right = (torch.arange(size, device=places.device) for size in kernel)
    read = (row[:, None, :, None] + below[:, None, None]) * padded.shape[3] + column[:, None, :, None] + right
    index = read.flatten(1)[:, None].expand(-1, maps.shape[1], -1)
    return padded.flatten(2).gather(2, index).unflatten(2, (height, -1))


def put(logits: Tensor, places: Tensor, predicted: Tensor) -> Tensor:
    """The logits (N, A * K, H, W), with others, (N, A * K, 1, k), at places (N, k)."""
    where = places[:, None].expand(-1, logits.shape[1], -1)
    dtype = torch.promote_types(logits.dtype, predicted.dtype)  # a teacher may compute in less than the student
    values = predicted.flatten(2).to(dtype)
    return logits.detach().to(dtype).flatten(2).scatter(2, where, values).view_as(logits)
