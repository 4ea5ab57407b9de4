"""What the operations of mmpretrain's AutoAugment and RandAugment draw and do, for a batch at a time."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import UsageError
from . import pixels
from .cutout import holes

Function = Callable[[Tensor, Tensor], Tensor]
"""Takes images, (N, 3, H, W), uint8, and parameters, a row for each."""

Size = tuple[int, int]
LEVELS = np.arange(256, dtype=np.uint8)


class Ranges(NamedTuple):
    """What operations are drawn with: numbers, or arrays of one shape; the names are mmpretrain's.

    A magnitude is ``first`` at level 0 and ``last`` at level ``total_level``; ``magnitude_std`` may be infinite.
    """

    prob: Any
    random_negative_prob: Any
    magnitude_level: Any
    total_level: Any
    magnitude_std: Any
    first: Any
    last: Any

    def take(self, which: np.ndarray) -> 'Ranges':
        """Those of some operations, by their places."""
        return Ranges(*(values[which] for values in self))

    def pick(self, whether: np.ndarray, level: np.ndarray, sign: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Turn uniform numbers of [0, 1), one for each range, into whether an operation is done, and its magnitude."""
        return whether <= self.prob, np.where(sign < self.random_negative_prob, -1, 1) * self._magnitudes(level)

    def _magnitudes(self, draws: np.ndarray) -> np.ndarray:
        levels, infinite = self.magnitude_level, np.isinf(self.magnitude_std)
        std = np.where(infinite, 0, self.magnitude_std)
        normal = torch.special.ndtri(torch.from_numpy(np.maximum(draws, 2.0**-54))).numpy()
        levels = np.where(std > 0, np.clip(levels + std * normal, 0, self.total_level), levels)
        levels = np.where(infinite, levels * draws, levels)
        return levels / self.total_level * (self.last - self.first) + self.first


class Operation:
    """An operation, for batches.

    Args:
        transform (BaseAugTransform): mmpretrain's.
        within (str): The name of the transform that has it.

    Attributes:
        ranges (Ranges): What it draws.
        function (callable): What it does; several operations may have the same one.

    Raises:
        UsageError: If it is not made for batches, or not with these arguments.
    """

    def __init__(self, transform: Any, within: str) -> None:
        from mmpretrain.datasets.transforms import auto_augment

        name = type(transform).__name__
        kind = _KINDS.get(name)
        if kind is None or type(transform) is not getattr(auto_augment, name):
            raise UsageError(
                f'train_dataloader: {within} has a {name}, which is not made for batches: take it out of the policies, '
                'or leave out --batched.'
            )
        self._transform, self._kind = transform, kind
        self.function: Function = kind.function or _warp(transform)
        fixed = getattr(transform, kind.magnitude, None)
        first, last = transform.magnitude_range or (0, 0) if fixed is None else (fixed, fixed)
        self.ranges = Ranges(
            transform.prob,
            transform.random_negative_prob if kind.signed else 0,
            transform.magnitude_level,
            transform.total_level,
            float(transform.magnitude_std) if fixed is None else 0,
            first,
            last,
        )
        self.parameters(np.zeros(1), np.zeros((1, 2)), (1, 1))

    def parameters(self, magnitudes: np.ndarray, places: np.ndarray, size: Size) -> np.ndarray:
        """What :attr:`function` takes beside the images, a row for each.

        Args:
            magnitudes (ndarray): Shape (N,).
            places (ndarray): Where holes are, uniform numbers of [0, 1), shape (N, 2).
            size (tuple[int, int]): Height and width of the images.
        """
        return self._kind.parameters(self._transform, magnitudes, places, size)


def _nothing(_: Any, magnitudes: np.ndarray, places: np.ndarray, size: Size) -> np.ndarray:
    return np.zeros((len(magnitudes), 0), np.float32)


def _inverted(_: Any, magnitudes: np.ndarray, places: np.ndarray, size: Size) -> np.ndarray:
    return np.tile(255 - LEVELS, (len(magnitudes), 1))


def _solarized(_: Any, thresholds: np.ndarray, places: np.ndarray, size: Size) -> np.ndarray:
    return np.where(LEVELS < thresholds[:, None], LEVELS, 255 - LEVELS)


def _added(transform: Any, magnitudes: np.ndarray, places: np.ndarray, size: Size) -> np.ndarray:
    more = np.minimum(LEVELS + magnitudes[:, None], 255).astype(np.uint8)
    return np.where(transform.thr > LEVELS, more, LEVELS)


def _posterized(_: Any, bits: np.ndarray, places: np.ndarray, size: Size) -> np.ndarray:
    shift = np.maximum(8 - np.ceil(bits).astype(np.int64), 0)[:, None]
    return (LEVELS >> shift << shift).astype(np.uint8)


def _brightened(_: Any, magnitudes: np.ndarray, places: np.ndarray, size: Size) -> np.ndarray:
    factors = (1 + magnitudes).astype(np.float32)[:, None]
    return np.clip(LEVELS * factors, 0, 255).astype(np.uint8)


def _factors(_: Any, magnitudes: np.ndarray, places: np.ndarray, size: Size) -> np.ndarray:
    return np.stack([1 + magnitudes, 1 - (1 + magnitudes)], axis=1).astype(np.float32)


def _hole(transform: Any, magnitudes: np.ndarray, places: np.ndarray, size: Size) -> np.ndarray:
    shape = magnitudes.astype(np.int64)[:, None] if transform.shape is None else np.array(transform.shape)
    where = holes(size, np.broadcast_to(shape, (len(places), 2)), places)
    return np.hstack([where, np.tile(_border(transform, 3), (len(where), 1))]).astype(np.int64)


def _rotated(transform: Any, degrees: np.ndarray, places: np.ndarray, size: Size) -> np.ndarray:
    """Of ``cv2.getRotationMatrix2D``, the other way round."""
    x, y = transform.center or ((size[1] - 1) * 0.5, (size[0] - 1) * 0.5)
    cos, sin = (function(np.deg2rad(degrees)) / transform.scale for function in (np.cos, np.sin))
    matrix = [cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y]
    # cv2 takes a number for the first channel alone.
    return _warped(len(degrees), matrix, _border(transform, 1))


def _sheared(transform: Any, magnitudes: np.ndarray, places: np.ndarray, size: Size) -> np.ndarray:
    across, down = (-magnitudes, 0) if transform.direction == 'horizontal' else (0, -magnitudes)
    return _warped(len(magnitudes), [1, across, 0, down, 1, 0], _border(transform, 3))


def _translated(transform: Any, magnitudes: np.ndarray, places: np.ndarray, size: Size) -> np.ndarray:
    height, width = size
    across, down = (-magnitudes * width, 0) if transform.direction == 'horizontal' else (0, -magnitudes * height)
    return _warped(len(magnitudes), [1, 0, across, 0, 1, down], _border(transform, 3))


def _warped(number: int, matrix: Sequence[Any], border: np.ndarray) -> np.ndarray:
    rows = np.empty((number, 9), np.float32)
    for column, value in enumerate((*matrix, *np.rint(border))):
        rows[:, column] = value
    return rows


def _border(transform: Any, channels: int) -> np.ndarray:
    """The ``pad_val`` of three channels, of which a number is that of the first ones."""
    value = transform.pad_val
    values = [value] * channels + [0] * (3 - channels) if isinstance(value, int | float) else list(value)
    if len(values) != 3:
        raise UsageError(
            f'train_dataloader: pad_val={value} of {type(transform).__name__} has {len(values)} numbers: give one, or '
            'three, which are those of the channels.'
        )
    return np.array(values, np.float64)


def _warp(transform: Any) -> Function:
    if transform.interpolation not in pixels.WARPS:
        raise UsageError(
            f"train_dataloader: interpolation='{transform.interpolation}' of {type(transform).__name__} is not made "
            f'for batches: choose {", ".join(map(repr, pixels.WARPS))}, or leave out --batched.'
        )
    return pixels.WARPS[transform.interpolation]


class _Kind(NamedTuple):
    """A kind of operations.

    Args:
        function: See :class:`Operation`; None of those that warp, which have an ``interpolation``.
        parameters: Makes what :meth:`Operation.parameters` returns.
        signed: Whether magnitudes have a sign.
        magnitude: The attribute that holds a magnitude which is always the same.
    """

    function: Function | None
    parameters: Callable[[Any, np.ndarray, np.ndarray, Size], np.ndarray]
    signed: bool = False
    magnitude: str = 'magnitude'


_KINDS = {
    'AutoContrast': _Kind(pixels.auto_contrast, _nothing),
    'Brightness': _Kind(pixels.look_up, _brightened, signed=True),
    'ColorTransform': _Kind(pixels.color, _factors, signed=True),
    'Contrast': _Kind(pixels.contrast, _factors, signed=True),
    'Cutout': _Kind(pixels.fill, _hole, magnitude=''),
    'Equalize': _Kind(pixels.equalize, _nothing),
    'Invert': _Kind(pixels.look_up, _inverted),
    'Posterize': _Kind(pixels.look_up, _posterized, magnitude='bits'),
    'Rotate': _Kind(None, _rotated, signed=True, magnitude='angle'),
    'Sharpness': _Kind(pixels.sharpness, _factors, signed=True),
    'Shear': _Kind(None, _sheared, signed=True),
    'Solarize': _Kind(pixels.look_up, _solarized, magnitude='thr'),
    'SolarizeAdd': _Kind(pixels.look_up, _added),
    'Translate': _Kind(None, _translated, signed=True),
}
