"""AutoAugment and RandAugment, a batch at a time."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from mmengine.registry import DefaultScope
from torch import Tensor

from ..errors import UsageError
from ..registry import type_name
from .augment_operations import Function, Operation, Ranges

KINDS = ('AutoAugment', 'RandAugment')
"""Transforms of mmpretrain that :class:`Augment` stands for."""


class Augment:
    """Augment images as mmpretrain's ``AutoAugment`` or ``RandAugment`` does it, one by one.

    Policies, probabilities and magnitudes are read from mmpretrain's own transform. What is drawn, is drawn for a batch
    at once on the host, and each operation changes all images that drew it, on their device. Values of 0 to 255 are
    those of mmcv up to 1, in warped images those of mmcv with OpenCV 5: earlier ones round places to 1/32 of a pixel.

    Args:
        config (dict): The transform as mmpretrain takes it: ``type``, ``policies``, and so on.

    Raises:
        UsageError: If it is another transform, or has an operation that is not made for batches.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        from mmpretrain.datasets.transforms import auto_augment

        settings = {key: value for key, value in config.items() if key != 'type'}
        self.kind = type_name(config.get('type'))
        if self.kind not in KINDS:
            raise UsageError(f"augment.type='{self.kind}' must be 'AutoAugment' or 'RandAugment'.")
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            built = getattr(auto_augment, self.kind)(**settings)
        policies = [list(getattr(policy, 'transforms', [policy])) for policy in built.transforms]
        self.operations = [Operation(transform, self.kind) for policy in policies for transform in policy]
        """Of all policies, one after the other."""
        self.picks = getattr(built, 'num_policies', 1)
        """How many policies an image draws."""
        numbers = iter(range(len(self.operations)))
        self.policies = np.full((len(policies), max(map(len, policies))), -1)
        """Which operations a policy has, shape (P, L); -1 behind its last one."""
        for row, policy in zip(self.policies, policies):
            row[: len(policy)] = [next(numbers) for _ in policy]
        self.draws = self.picks * (1 + self.policies.shape[1] * _NUMBERS)
        """Random numbers for an image."""
        self._ranges = Ranges(*np.array([operation.ranges for operation in self.operations]).T)
        self._functions = list(dict.fromkeys(operation.function for operation in self.operations))
        self._function_of = np.array([self._functions.index(each.function) for each in self.operations])

    def pick(self, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Choose operations.

        Args:
            draws (ndarray): Uniform numbers of [0, 1), shape (N, :attr:`draws`).

        Returns:
            tuple[ndarray, ndarray, ndarray]: Places in :attr:`operations` of what is done to an image, in this order,
            shape (N, S), -1 where nothing is; magnitudes (N, S), float64; and uniform numbers for the places of holes,
            (N, S, 2).
        """
        by_pick = draws.reshape(len(draws), self.picks, -1)
        chosen = (by_pick[..., 0] * len(self.policies)).astype(np.int64)
        which = self.policies[chosen].reshape(len(draws), -1)
        numbers = by_pick[..., 1:].reshape(*which.shape, _NUMBERS)
        done, magnitudes = self._ranges.take(which).pick(*np.moveaxis(numbers[..., :3], -1, 0))
        return np.where(done, which, -1), magnitudes, numbers[..., 3:]

    def __call__(self, images: Tensor, draws: np.ndarray) -> Tensor:
        """Augment images, shape (N, 3, H, W), uint8, as :meth:`pick` chooses for uniform numbers."""
        which, magnitudes, places = self.pick(draws)
        images = images.clone()
        for step in range(which.shape[1]):
            functions = np.where(which[:, step] < 0, -1, self._function_of[which[:, step]])
            for number in np.unique(functions[functions >= 0]):
                rows = np.flatnonzero(functions == number)
                drawn = (values[rows, step] for values in (which, magnitudes, places))
                _change(images, rows, self._functions[number], self._parameters(images, *drawn))
        return images

    def _parameters(self, images: Tensor, which: np.ndarray, magnitudes: np.ndarray, places: np.ndarray) -> np.ndarray:
        """What the function of these operations takes beside the images, a row for each."""
        order, size = np.argsort(which, kind='stable'), tuple(images.shape[2:])
        alike = np.split(order, np.flatnonzero(np.diff(which[order])) + 1)
        parts = [self.operations[which[rows[0]]].parameters(magnitudes[rows], places[rows], size) for rows in alike]
        return np.concatenate(parts)[np.argsort(order)]


_NUMBERS = 5
"""Random numbers for an operation: whether it is done, its magnitude, its sign, and the place of a hole."""


def _change(images: Tensor, rows: np.ndarray, function: Function, parameters: np.ndarray) -> None:
    at, values = (torch.from_numpy(array).to(images.device, non_blocking=True) for array in (rows, parameters))
    images.index_copy_(0, at, function(images.index_select(0, at), values))
