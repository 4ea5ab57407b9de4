"""Computing a cache ahead of the trainings that read it."""

import os
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import nn

from ..datasets import BatchedViews
from .cache import LogitsCache
from .cached import CachedMember


def fill(
    member: CachedMember,
    data_preprocessor: nn.Module,
    dataset: BatchedViews,
    batch_size: int,
    tell: Callable[[int], None] = lambda rows: None,
) -> None:
    """Compute what is missing in a teacher's cache.

    What is there is skipped, so that it may be killed and started again. Several processes may work at one cache: each
    begins at another place, and passes over what the others have done.

    Args:
        member (CachedMember): Its cache is open.
        data_preprocessor (nn.Module): The student's, which prepares the images.
        dataset (BatchedViews): The images.
        batch_size (int): Views a pass.
        tell (callable): Is told of every number of rows that are there, found or computed.
    """
    cache = member.opened
    images, views, _ = cache.shape
    for image, todo in _chunks(cache, max(1, batch_size // views), start=os.getpid() * 7919 % images):
        tell(int((~todo).sum()))
        rows, which = np.nonzero(todo)
        for begin in range(0, len(rows), batch_size):
            part = slice(begin, begin + batch_size)
            positions = image + rows[part]
            with torch.inference_mode():
                batch = dataset.batch(positions.tolist(), which[part].tolist())
                inputs = data_preprocessor({'inputs': batch['inputs']})['inputs']
                cache.write(positions, which[part], member.compute(inputs))
            tell(len(positions))
    cache.flush()


def _chunks(cache: LogitsCache, size: int, start: int) -> Iterator[tuple[int, np.ndarray]]:
    """Some images at a time, from one of them on and around: the first, and which of their rows are missing."""
    images = cache.shape[0]
    begins = list(range(0, images, size))
    first = start // size
    for begin in begins[first:] + begins[:first]:
        yield begin, cache.missing(slice(begin, min(begin + size, images)))
