"""Random resized crops of small images, a batch at a time."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from ..errors import UsageError
from ..registry import DATASETS
from .batched import BatchedImages


class CropBoxes:
    """The crops that mmpretrain's ``RandomResizedCrop`` draws: of random area and aspect ratio, somewhere.

    Args:
        size (tuple[int, int]): Height and width of the images.
        crop_ratio_range (tuple[float, float]): Area of a crop over that of the image. Defaults to (0.08, 1).
        aspect_ratio_range (tuple[float, float]): Width over height, uniform in its logarithm. Defaults to (3/4, 4/3).
        max_attempts (int): Draws of area and aspect ratio, until a crop fits into the image; after that it is the
            image, or the middle of it. Defaults to 10.

    Raises:
        UsageError: If a range is none, or there is no attempt.
    """

    def __init__(
        self,
        size: Sequence[int],
        crop_ratio_range: Sequence[float] = (0.08, 1.0),
        aspect_ratio_range: Sequence[float] = (3 / 4, 4 / 3),
        max_attempts: int = 10,
    ) -> None:
        for key, (low, high) in dict(crop_ratio_range=crop_ratio_range, aspect_ratio_range=aspect_ratio_range).items():
            if not 0 < low <= high:
                raise UsageError(
                    f'{key}=({low}, {high}) is no range: give two positive numbers, the smaller one first.'
                )
        if not (isinstance(max_attempts, int) and max_attempts >= 1):
            raise UsageError(f'max_attempts={max_attempts} must be a number of attempts, 1 or more.')
        self.size, self.areas, self.aspects, self.attempts = (
            tuple(size),
            crop_ratio_range,
            aspect_ratio_range,
            max_attempts,
        )
        self.draws = 2 * max_attempts + 2
        """Random numbers for an image."""

    def pick(self, draws: np.ndarray) -> np.ndarray:
        """Turn uniform numbers of [0, 1), shape (N, :attr:`draws`), into top, left, height and width, (N, 4), int64."""
        height, width = self.size
        areas, aspects = (draws[:, i : 2 * self.attempts : 2] for i in (0, 1))
        area = (self.areas[0] + areas * (self.areas[1] - self.areas[0])) * (height * width)
        low, high = (math.log(end) for end in self.aspects)
        aspect = np.exp(low + aspects * (high - low))
        w, h = np.rint(np.sqrt(area * aspect)), np.rint(np.sqrt(area / aspect))
        fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)
        first = fits.argmax(1)[:, None]
        sides = np.stack([np.take_along_axis(side, first, 1)[:, 0] for side in (h, w)], axis=1)
        corners = np.floor(draws[:, -2:] * (np.array(self.size) - sides + 1))
        boxes = np.hstack([corners, sides]).astype(np.int64)
        boxes[~fits.any(1)] = self._middle()
        return boxes

    def _middle(self) -> tuple[int, int, int, int]:
        """The crop where none fits."""
        height, width = self.size
        h, w = height, width
        if width / height < min(self.aspects):
            h = round(width / min(self.aspects))
        elif width / height > max(self.aspects):
            w = round(height * max(self.aspects))
        return (height - h) // 2, (width - w) // 2, h, w


@DATASETS.register_module()
class BatchedCrops(BatchedImages):
    """Batches of random resized crops, perhaps mirrored, see :class:`BatchedImages`.

    What is drawn is what mmpretrain's ``RandomResizedCrop`` and ``RandomFlip`` draw, and crops are resized as cv2 does
    it (``bilinear``), but for rounding: a value of 0 to 255 may differ by 1. Views are endless, so that no teacher's
    logits are kept.

    Args:
        dataset (dict | Dataset): See :class:`BatchedImages`.
        scale (int | tuple[int, int]): Height and width of a resized crop.
        device (str, optional): See :class:`BatchedImages`.
        cutout (dict, optional): See :class:`BatchedImages`.
        flip_prob (float): How often a crop is mirrored. Defaults to 0.
        augment (dict, optional): See :class:`BatchedImages`.
        **crops: What :class:`CropBoxes` takes: ``crop_ratio_range``, ``aspect_ratio_range``, ``max_attempts``.

    Raises:
        UsageError: If ``scale`` is no size, or ``flip_prob`` no probability.
    """

    def __init__(
        self,
        dataset: Any,
        scale: int | Sequence[int],
        device: str | None = None,
        cutout: Mapping[str, Any] | None = None,
        flip_prob: float = 0.0,
        augment: Mapping[str, Any] | None = None,
        **crops: Any,
    ) -> None:
        self.scale = (scale, scale) if isinstance(scale, int) else tuple(scale)
        if len(self.scale) != 2 or not all(isinstance(side, int) and side > 0 for side in self.scale):
            raise UsageError(f'scale={scale!r} is no size: give one side or height and width, 1 or more.')
        if not 0 <= flip_prob <= 1:
            raise UsageError(f'flip_prob={flip_prob} is not a probability: choose one from 0 to 1.')
        self.flip_prob, self._settings = flip_prob, crops
        super().__init__(dataset, device, cutout, augment)

    def _store(self, images: np.ndarray) -> None:
        self.boxes = CropBoxes(images.shape[1:3], **self._settings)
        self.draws = self.boxes.draws + 1
        stored = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
        self._pixels = stored.to(self.device)

    def _drawn(self, positions: Sequence[int], draws: np.ndarray) -> dict[str, Any]:
        return self.batch(positions, self.boxes.pick(draws[:, :-1]), draws[:, -1] < self.flip_prob)

    def batch(self, positions: Sequence[int], boxes: np.ndarray, mirrored: np.ndarray) -> dict[str, Any]:
        """Return given crops of given images, which :attr:`parts` hold, as :meth:`__getitems__` does.

        Args:
            positions (sequence of int): Of the images.
            boxes (ndarray): Top, left, height and width, shape (N, 4).
            mirrored (ndarray): Whether a resized crop is mirrored, shape (N,).
        """
        rows = _places(boxes[:, 0], boxes[:, 2], self.scale[0], self.boxes.size[0])
        columns = _places(boxes[:, 1], boxes[:, 3], self.scale[1], self.boxes.size[1])
        columns[mirrored] = columns[mirrored, ::-1]
        down, along = (torch.from_numpy(part).to(self.device, non_blocking=True) for part in (rows, columns))
        which = torch.tensor(positions).to(self.device, non_blocking=True)
        grid = torch.stack(torch.broadcast_tensors(along[:, None], down[:, :, None]), dim=-1)
        images = self._pixels.index_select(0, which).float()
        resized = F.grid_sample(images, grid, padding_mode='border', align_corners=True)
        # Halves are rounded up, as in cv2, also where float32 has them a little lower.
        return self._batch((resized + (0.5 + 2**-9)).to(torch.uint8), positions, [-1] * len(positions))


def _places(begin: np.ndarray, length: np.ndarray, steps: int, side: int) -> np.ndarray:
    """Where resized pixels lie in an image, along one side: within the crop, as ``cv2.resize`` has it.

    Args:
        begin (ndarray): Of the crop, shape (N,).
        length (ndarray): Of the crop, shape (N,).
        steps (int): Resized pixels.
        side (int): Of the image.

    Returns:
        ndarray: From -1, the middle of the first pixel, to 1, that of the last one, shape (N, steps), float32.
    """
    where = (np.arange(steps) + 0.5) * (length[:, None] / steps) - 0.5
    places = begin[:, None] + np.clip(where, 0, length[:, None] - 1)
    return (2 * places / max(side - 1, 1) - 1).astype(np.float32)
