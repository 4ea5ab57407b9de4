"""Where a dense detector's own loss saw objects, as losses at its places ask for it."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..errors import UsageError
from .pair import check_equal, in_full_precision


class Places(NamedTuple):
    """What a detector's own loss made of its P priors, level by level.

    The priors of a level are in the order of its maps: row by row, and at each place the anchors in turn.

    Args:
        positive (list[Tensor]): Whether a prior was assigned to an object, bool (N, P).
        weight (list[Tensor]): What a prior counts in the loss of the classes, (N, P); 0 where it is not valid.
        number (Tensor): Number of positive priors, at least 1 an image, the mean over processes; a scalar.
    """

    positive: list[Tensor]
    weight: list[Tensor]
    number: Tensor


def prior_rows(name: str, levels: Sequence[Tensor], places: Sequence[Tensor], channels: int | None = None) -> Tensor:
    """Maps or rows of all levels as rows of priors, in one tensor (N, P, C).

    Args:
        name (str): The loss, named in the error.
        levels (Sequence[Tensor]): Maps (N, A * C, H, W) or rows (N, P, C), level by level.
        places (Sequence[Tensor]): Something of shape (N, P) by level, which says how many priors there are.
        channels (int, optional): C, where it must be that.

    Raises:
        UsageError: If they are not of these priors.
    """
    rows = []
    for level, place in zip(levels, places) if len(levels) == len(places) else ():
        numbers = level.permute(0, 2, 3, 1) if level.dim() == 4 else level
        whole = len(numbers) == len(place) and numbers.numel() % place.numel() == 0
        rows.append(numbers.reshape(*place.shape, -1) if whole else numbers.reshape(len(numbers), 1, -1))
    shapes = {(row.shape[:2] == place.shape, row.shape[2]) for row, place in zip(rows, places)}
    if len(shapes) != 1 or not min(shapes)[0] or channels not in (None, min(shapes)[1]):
        found, wanted = ([tuple(x.shape) for x in side] for side in (levels, places))
        raise UsageError(
            f"{name}: what it compares has shapes {found}, but the student's own loss knows priors of shapes {wanted}: "
            'name the logits, `boxes` or `box_maps` of a dense head, and of both detectors the same.'
        )
    return torch.cat(rows, dim=1)


def confidence(name: str, logits: Sequence[Tensor], places: Sequence[Tensor]) -> Tensor:
    """The largest probability of a class of each prior, (N, P), of the logits of a head with sigmoids."""
    return prior_rows(name, logits, places).amax(2).sigmoid()


class PriorLoss(nn.Module):
    """A loss that compares what two detectors say of each prior, in full precision: :meth:`of_rows` is its formula."""

    def forward(self, logits: Sequence[Tensor], target: Sequence[Tensor], places: Places) -> Tensor:
        """Evaluate the loss.

        Args:
            logits (Sequence[Tensor]): Maps (N, A * C, H, W) by level.
            target (Sequence[Tensor]): Of the same shapes.
            places (Places): What the student's own loss made of the priors.

        Returns:
            Tensor: A scalar.

        Raises:
            UsageError: If the shapes do not belong together.
        """
        return in_full_precision(self._evaluate, logits, target, places)

    def of_rows(self, logits: Tensor, target: Tensor, places: Places) -> Tensor:
        """The loss of rows (N, P, C) of all levels."""
        raise NotImplementedError

    def _evaluate(self, logits: Sequence[Tensor], target: Sequence[Tensor], places: Places) -> Tensor:
        name = type(self).__name__
        a, b = (prior_rows(name, levels, places.weight) for levels in (logits, target))
        check_equal(name, a, b)
        return self.of_rows(a, b, places)
