"""Random draws that depend on the run's seed, the epoch and the sample, and on nothing else."""

import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.registry import DATA_SAMPLERS as ANY_DATA_SAMPLERS
from torch.utils.data import BatchSampler, Sampler, get_worker_info

from ..errors import UsageError
from ..registry import DATA_SAMPLERS, DATASETS


class Draw(NamedTuple):
    """What a data set is asked for: a sample, and the random numbers to prepare it with.

    Args:
        seed (int): The run's.
        epoch (int): Counted from 0.
        position (int): Of the sample in the data set.
    """

    seed: int
    epoch: int
    position: int


def seed_generators(seed: int, *key: int, cuda: bool = False) -> None:
    """Seed the global generators of Python, numpy and torch from a run's seed and what the draws are for.

    numpy's ``SeedSequence`` mixes the numbers, so that neighboring keys have unrelated streams.

    Args:
        seed (int): The run's seed.
        *key (int): Numbers that name the draws, not negative.
        cuda (bool): Whether to seed the generators of CUDA devices too. Defaults to False.
    """
    words = np.random.SeedSequence(seed, spawn_key=key).generate_state(3, np.uint64).tolist()
    random.seed(words[0])
    np.random.seed(words[1] >> 32)  # a seed of more than 32 bits takes it six times as long
    torch.default_generator.manual_seed(words[2])
    # Not torch.manual_seed: it spends a quarter of a millisecond on the devices that are not there.
    if cuda and torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(words[2])


@contextmanager
def generators_kept() -> Iterator[None]:
    """Restore the states of the global generators of Python, numpy and torch (CPU) at the end."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


@DATASETS.register_module()
class SeededDataset:
    """A data set whose random transforms draw from (seed, epoch, position), whichever process runs them.

    A :class:`SeededBatchSampler` must ask for the items, as it tells the seed and the epoch. A plain position gives
    the wrapped data set's own item, with whatever the generators hold. Everything else (``metainfo``, ``full_init``,
    ``get_data_info``, ...) is the wrapped data set's.

    Exact are draws from the global generators of Python, numpy and torch; a library that keeps a generator of its own
    has to be seeded by its own means.

    Args:
        dataset (dict | Dataset): The data set, or its config; mmengine's wrappers are welcome.

    Example:
        >>> crop = [dict(type='RandomCrop', crop_size=8, padding=1), dict(type='PackInputs')]
        >>> dataset = SeededDataset(dict(type='shake_mm.Digits', pipeline=crop))
        >>> first, again = dataset[Draw(seed=0, epoch=3, position=7)], dataset[Draw(0, 3, 7)]
        >>> bool((first['inputs'] == again['inputs']).all())
        True
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.dataset)

    def __getitem__(self, draw: Draw | int) -> Any:
        """Return the item of a sample, prepared with its draw."""
        if not isinstance(draw, Draw):
            return self.dataset[draw]
        # Nothing else draws in a worker, and keeping the states costs more than seeding.
        with generators_kept() if get_worker_info() is None else nullcontext():
            seed_generators(draw.seed, draw.epoch, draw.position)
            return self.dataset[draw.position]

    def __getattr__(self, name: str) -> Any:
        """Look up attributes of the wrapped data set, which a copy lacks while it is being unpickled."""
        if name == 'dataset':
            raise AttributeError(name)
        return getattr(self.dataset, name)


@DATA_SAMPLERS.register_module()
class SeededBatchSampler(Sampler):
    """Asks a :class:`SeededDataset` for batches, from any batch of the epoch on.

    The order of the samples is that of ``sampler``, a function of its ``seed`` and ``epoch``: mmengine's
    ``DefaultSampler``, or one that also has these two attributes and ``set_epoch``. Its batches are those of
    ``batch_sampler``, which must depend on nothing else either.

    Args:
        sampler (Sampler): Yields positions; the runner provides it.
        batch_size (int): The runner provides it from the loader's config.
        drop_last (bool): Whether to leave out a last batch that is not full. Defaults to False.
        batch_sampler (dict, optional): Config of what makes the batches, such as mmdet's ``AspectRatioBatchSampler``.
            Defaults to batches in the sampler's order.

    Attributes:
        start (int): The next pass over the sampler begins with this batch. Set by the loop.

    Raises:
        UsageError: If ``sampler`` has no seed and epoch.
    """

    def __init__(
        self, sampler: Sampler, batch_size: int, drop_last: bool = False, batch_sampler: dict | None = None
    ) -> None:
        if not (hasattr(sampler, 'seed') and hasattr(sampler, 'epoch')):
            raise UsageError(
                f'sampler: the order of {type(sampler).__name__} has no seed and no epoch: use DefaultSampler.'
            )
        self.sampler, self.batch_size, self.drop_last, self.start = sampler, batch_size, drop_last, 0
        if batch_sampler is None:
            self.batches = BatchSampler(sampler, batch_size, drop_last)
        else:
            known = dict(sampler=sampler, batch_size=batch_size, drop_last=drop_last)
            self.batches = ANY_DATA_SAMPLERS.build(batch_sampler, default_args=known)

    def __iter__(self) -> Iterator[list[Draw]]:
        """Yield the draws of each batch, from the first one wanted on."""
        seed, epoch = self.sampler.seed, self.sampler.epoch
        for batch in islice(self.batches, self.start, None):
            yield [Draw(seed, epoch, position) for position in batch]

    def __len__(self) -> int:
        """Return the number of batches of a whole epoch."""
        return len(self.batches)
