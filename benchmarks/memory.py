"""Memory that one step needs at its peak, beyond what is there before and after it: weights, optimizer state, batch.

On a GPU it is the peak of torch's allocator. On the CPU, whose allocator keeps no such record, it is the largest sum of
the sizes of all tensors that are alive at once, counted operator by operator: what an operator allocates and frees
within itself (a convolution's workspace) is not in it.
"""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
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

    Attributes:
        now (int): Bytes alive.
        peak (int): The largest value of ``now``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._sizes: dict[int, int] = {}

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
        if key not in self._sizes:
            self._sizes[key] = storage.nbytes()
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._remove, key)

    def _remove(self, key: int) -> None:
        self.now -= self._sizes.pop(key)


def _storages(tree: Any) -> list[torch.UntypedStorage]:
    return [leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
