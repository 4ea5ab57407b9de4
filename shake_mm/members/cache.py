"""Logits of a frozen teacher for every view of every image of a data set, in a memory-mapped file."""

import hashlib
import json
import mmap
import os
import os.path as osp
import tempfile
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import UsageError

# Stored is a float16's bits after an exclusive or with those of a NaN: what no one wrote, zeros, reads as NaN.
_NAN = np.uint16(0x7E00)

_MEANING = dict(
    weights='its weights', preprocessing='its preprocessing', pictures='the images', views='the crops and flips'
)


class LogitsCache:
    """Float16 logits by (image, view); what is not there yet reads as NaN.

    A folder holds ``logits.f16``, of 2 bytes a logit (CIFAR-100's 50,000 images in 162 views and 100 classes take
    1.62 GB), and ``key.json``, which says what the logits are of. Several processes may read and write at once: they
    write the same values, and a row that a kill cut short holds a NaN still.

    Args:
        folder (str): Where; made if it is not there.
        key (dict): What the logits depend on, plain values: ``weights``, ``preprocessing``, ``images``, ``views``.
        shape (tuple[int, int, int]): Numbers of images, views and classes.
        where (str): The teacher, named in errors.

    Raises:
        UsageError: If the folder holds the logits of something else, is damaged, or the disk is too full.
    """

    def __init__(
        self, folder: str, key: Mapping[str, Any], shape: tuple[int, int, int], where: str = 'teacher'
    ) -> None:
        self.folder, self.where = folder, where
        os.makedirs(folder, exist_ok=True)
        self._settle(json.loads(json.dumps({**key, 'shape': shape})))  # as they come back from the file
        path, size = osp.join(folder, 'logits.f16'), 2 * int(np.prod(shape, dtype=np.int64))
        # All of it now: a disk that is full later would kill a process that writes to the map.
        with open(path, 'a+b') as file:
            try:
                os.posix_fallocate(file.fileno(), 0, size)
            except OSError as error:
                raise UsageError(
                    f'{where}: the cache needs {size / 1e9:.2f} GB in {folder}, which are not there ('
                    f'{error.strerror}): make room, or name another folder.'
                ) from None
        self._rows = np.memmap(path, np.uint16, 'r+', shape=tuple(shape))
        # A batch reads rows from all over the file: what a disk would read ahead, 128 kB a row, is in vain.
        self._rows._mmap.madvise(mmap.MADV_RANDOM)  # type: ignore[attr-defined]

    def __deepcopy__(self, memo: dict) -> 'LogitsCache':
        """Share the file between copies of a model."""
        return self

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of images, views and classes."""
        return self._rows.shape

    def read(self, images: np.ndarray, views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Look up.

        Args:
            images (ndarray): Shape (N,), int64.
            views (ndarray): Shape (N,), int64.

        Returns:
            tuple[ndarray, ndarray]: Logits, shape (N, K), float16, and which rows are missing, shape (N,).
        """
        logits = (self._rows[images, views] ^ _NAN).view(np.float16)
        return logits, np.isnan(logits).any(1)

    def write(self, images: np.ndarray, views: np.ndarray, logits: np.ndarray) -> None:
        """Write rows, float16, shape (N, K).

        Raises:
            UsageError: If a logit is not finite, as one beyond 65504 is in float16.
        """
        if not np.isfinite(logits).all():
            raise UsageError(
                f'{self.where}: its logits are not finite in float16 and cannot be cached: leave out `cache`.'
            )
        self._rows[images, views] = logits.view(np.uint16) ^ _NAN

    def missing(self, images: slice) -> np.ndarray:
        """Which rows of some images are missing, shape (N, V)."""
        return np.isnan((self._rows[images] ^ _NAN).view(np.float16)).any(-1)

    def flush(self) -> None:
        """Let all that was written reach the disk."""
        self._rows.flush()

    def _settle(self, key: dict[str, Any]) -> None:
        """Write the key, or compare with the one that is there."""
        path = osp.join(self.folder, 'key.json')
        if not osp.exists(path):
            handle, draft = tempfile.mkstemp(dir=self.folder)
            with os.fdopen(handle, 'w', encoding='utf-8') as file:
                json.dump(key, file, indent=2)
            os.chmod(draft, 0o644)
            try:
                os.link(draft, path)  # fails where another process was first, whose key then counts
            except FileExistsError:
                pass
            finally:
                os.remove(draft)
        try:
            with open(path, encoding='utf-8') as file:
                there = json.load(file)
        except ValueError:
            raise UsageError(f'{self.where}: {path} is damaged: delete the folder, it will be built anew.') from None
        differs = [meaning for part, meaning in _MEANING.items() if there.get(part) != key.get(part)]
        if differs or there != key:
            raise UsageError(
                f'{self.where}: the cache in {self.folder} is of another teacher or data set ('
                f'{" and ".join(differs) or "its shape"} changed): delete it, or name another folder.'
            )


def digest(parts: Iterable[Any]) -> str:
    """Fingerprint of tensors, arrays and texts, in their order."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            part = part.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy()
        total.update(part.encode() if isinstance(part, str) else np.ascontiguousarray(part).data)
    return total.hexdigest()[:32]


def weights_key(network: nn.Module) -> str:
    """Fingerprint of a network's weights and of what its layers are."""
    state = network.state_dict()
    return digest([repr(network), *(part for name in state for part in (name, state[name]))])
