"""Holes in images, a batch at a time."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..errors import UsageError
from .pixels import fill


class Cutout:
    """Fill a hole in images, as mmpretrain's ``Cutout`` (``mmcv.cutout``) does it one by one.

    The hole's center is uniform over the image. At the left and upper border it is whole, at the others cut off.

    Args:
        shape (int | tuple[int, int]): Height and width of the hole.
        pad_val (float | Sequence[float]): Value of its pixels, perhaps by channel. Defaults to 128.
        prob (float): How often there is one. Defaults to 0.5.

    Raises:
        UsageError: If an argument is none of these.
    """

    draws = 3
    """Random numbers for an image: whether there is a hole, and where."""

    def __init__(self, shape: int | Sequence[int], pad_val: float | Sequence[float] = 128, prob: float = 0.5) -> None:
        sides = (shape, shape) if isinstance(shape, int) else tuple(shape)
        if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
            raise UsageError(f'cutout.shape={shape!r} is no size: give one side or height and width, 1 or more.')
        if not 0 <= prob <= 1:
            raise UsageError(f'cutout.prob={prob} is not a probability: choose one from 0 to 1.')
        self.shape, self.prob = sides, prob
        self.pad_val = [pad_val] if isinstance(pad_val, int | float) else list(pad_val)

    def place(self, size: Sequence[int], draws: np.ndarray) -> np.ndarray:
        """Rows and columns of holes.

        Args:
            size (tuple[int, int]): Height and width of the images.
            draws (ndarray): Uniform numbers of [0, 1), shape (N, 3).

        Returns:
            ndarray: First row, row behind the last, first column, column behind the last, shape (N, 4), int64; nothing
            where there is no hole.
        """
        places = holes(size, np.broadcast_to(self.shape, (len(draws), 2)), draws[:, 1:])
        places[draws[:, 0] >= self.prob] = 0
        return places

    def __call__(self, images: Tensor, draws: np.ndarray) -> Tensor:
        """Fill the holes of images, shape (N, C, H, W), that :meth:`place` draws."""
        places = self.place(tuple(images.shape[2:]), draws)
        values = np.broadcast_to(self.pad_val, (len(places), images.shape[1]))
        described = torch.from_numpy(np.hstack([places, values]).astype(np.int64))
        return fill(images, described.to(images.device, non_blocking=True))


def holes(size: Sequence[int], shapes: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Rows and columns of holes, as ``mmcv.cutout`` places them.

    Args:
        size (tuple[int, int]): Height and width of the images.
        shapes (ndarray): Height and width of the holes, shape (N, 2).
        draws (ndarray): Uniform numbers of [0, 1), shape (N, 2).

    Returns:
        ndarray: First row, row behind the last, first column, column behind the last, shape (N, 4), int64.
    """
    begins = np.maximum(draws * size - shapes / 2, 0).astype(np.int64)
    ends = np.minimum(begins + shapes, size)
    return np.stack([begins[:, 0], ends[:, 0], begins[:, 1], ends[:, 1]], axis=1)
