"""Memory that one step needs at its peak, beyond what is there before and after it: weights, optimizer state, batch.

On a GPU it is the peak of torch's allocator. On the CPU, whose allocator keeps no such record, it is the largest sum of
the sizes of all tensors that are alive at once, counted operator by operator: what an operator allocates and frees
within itself (a convolution's workspace) is not in it.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from shake_mm.compat.torch_names import tree_leaves


def peak_bytes(step: Callable[[], Any], device: str) -> int:
    """Run ``step`` once and return its peak in bytes; counting on the CPU slows it down, so it is not to be timed."""
    if not device.startswith('cuda'):
        with LiveTensors() as live:
            step()
        return live.peak
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    step()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


class LiveTensors(TorchDispatchMode):
    """Counts the bytes of the tensors that come into being inside the block, each storage once, while it lives.

    A storage is asked whether it still lives, by torch's own reference: torch 2.1 never calls those of Python.

    Attributes:
        peak (int): The largest number of bytes that were alive at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak = self._counted = 0
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}

    @property
    def now(self) -> int:
        """Bytes of the tensors that are alive."""
        for key in [key for key, (storage, _) in self._alive.items() if storage.expired()]:
            self._counted -= self._alive.pop(key)[1]
        return self._counted

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Run an operator and count its outputs, but for views and inputs changed in place."""
        output = func(*args, **(kwargs or {}))
        given = {storage._cdata for storage in _storages((args, kwargs))}
        for storage in _storages(output):
            if storage._cdata not in given:
                self._add(storage)
        return output

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self._alive:  # a reference keeps the address, though not the memory, so it is of no other storage
            self._alive[key] = StorageWeakRef(storage), storage.nbytes()
            self._counted += storage.nbytes()
            if self._counted > self.peak:  # what has died since is counted still
                self.peak = max(self.peak, self.now)


def _storages(tree: Any) -> list[torch.UntypedStorage]:
    return [leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
