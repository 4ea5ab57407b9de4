"""Computing a cache ahead of the trainings that read it."""

import os
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from ..datasets import BatchedViews
from ..errors import UsageError
from .cache import LogitsCache
from .cached import BLOCK, CachedMember


def fill(
    member: CachedMember,
    data_preprocessor: nn.Module,
    dataset: BatchedViews,
    batch_size: int,
    tell: Callable[[int], None] = lambda rows: None,
) -> None:
    """Compute what is missing in a teacher's cache.

    What is there is skipped, so that it may be killed and started again; some of it is compared with the network.
    Several processes may work at one cache: each begins at another place, and passes over what the others have done. At
    the end all rows are read back.

    Args:
        member (CachedMember): Its cache is open.
        data_preprocessor (nn.Module): The student's, which prepares the images.
        dataset (BatchedViews): The images.
        batch_size (int): Views a pass.
        tell (callable): Is told of every number of rows that are there, found or computed.

    Raises:
        UsageError: If rows that are there are another network's, or do not read back as they were written.
    """
    cache = member.opened
    images, views, _ = cache.shape

    def inputs(positions: np.ndarray, which: np.ndarray) -> Tensor:
        batch = dataset.batch(positions.tolist(), which.tolist())
        return data_preprocessor({'inputs': batch['inputs']})['inputs']

    size = max(1, batch_size // views)
    with torch.inference_mode():
        for image, todo in _chunks(cache, size, start=os.getpid() * 7919 % images):
            tell(int((~todo).sum()))
            rows, which = (places[:BLOCK] for places in np.nonzero(~todo))
            if len(rows):
                member.verify(inputs(image + rows, which), cache.read(image + rows, which)[0], np.arange(len(rows)))
            rows, which = np.nonzero(todo)
            for begin in range(0, len(rows), batch_size):
                part = slice(begin, begin + batch_size)
                positions = image + rows[part]
                cache.write(positions, which[part], member.compute(inputs(positions, which[part])))
                tell(len(positions))
    cache.flush()
    left = sum(int(todo.sum()) for _, todo in _chunks(cache, size, start=0))
    if left and cache.writable:
        raise UsageError(
            f'{member.name}: {left} rows of the cache in {member.folder} do not read back as they were written: check '
            'the disk, delete the folder, and start again.'
        )
    if left:
        raise UsageError(
            f'{member.name}: the cache in {member.folder} lacks {left} rows and cannot be written to: make it '
            'writable, or name another folder.'
        )


def _chunks(cache: LogitsCache, size: int, start: int) -> Iterator[tuple[int, np.ndarray]]:
    """Some images at a time, from one of them on and around: the first, and which of their rows are missing."""
    images = cache.shape[0]
    begins = list(range(0, images, size))
    first = start // size
    for begin in begins[first:] + begins[:first]:
        yield begin, cache.missing(slice(begin, min(begin + size, images)))
