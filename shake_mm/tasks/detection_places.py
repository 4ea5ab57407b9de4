"""The places that a dense head classifies, by which the logits of two heads can be compared."""

from collections.abc import Callable
from typing import Any

from torch import nn


def _generator(head: nn.Module | None) -> Any:
    """What makes the places and boxes that a head starts from."""
    return getattr(head, 'prior_generator', None) or getattr(head, 'square_anchor_generator', None)


def strides_of(head: nn.Module | None) -> list[tuple[int, int]]:
    """Height and width of the strides of a head, level by level; none if it states none."""
    strides = getattr(_generator(head), 'strides', None) or ()
    return [(s, s) if isinstance(s, int) else (int(s[0]), int(s[1])) for s in strides]


def _priors(head: nn.Module) -> list[int] | None:
    """Number of priors per place, level by level."""
    numbers = getattr(_generator(head), 'num_base_priors', None)
    return None if numbers is None else list(numbers)


def _anchors(head: nn.Module) -> list | None:
    """Corners of the anchors at the first place, level by level."""
    anchors = getattr(_generator(head), 'base_anchors', None)
    return None if anchors is None else [[[round(v, 2) for v in box] for box in level.tolist()] for level in anchors]


def _background(head: nn.Module) -> int | None:
    """Number of channels per prior beside those of the classes."""
    channels = getattr(head, 'cls_out_channels', None)
    return None if channels is None else channels - head.num_classes


PLACES: dict[str, Callable] = {
    'strides': strides_of,
    'priors per place': _priors,
    'anchors': _anchors,
    'channels of the background': _background,
}
"""What two dense heads must have in common, or their logits belong to different places."""
