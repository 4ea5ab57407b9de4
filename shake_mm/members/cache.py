"""Logits of a frozen teacher for every view of every image of a data set, in a memory-mapped file."""

import errno
import hashlib
import json
import mmap
import os
import os.path as osp
import tempfile
from collections.abc import Iterable, Mapping
from logging import WARNING
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from ..errors import UsageError

FORMAT = 2
# Float16 keeps 11 bits; the network's own rounding, on other processors, comes on top.
TOLERANCE = 2**-9

# Stored is a float16's bits after an exclusive or with those of a NaN: what no one wrote, zeros, reads as NaN.
_NAN = np.uint16(0x7E00)
# A row ends in its checksum, of two 16-bit words.
_WORDS = 2
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)

_MEANING = dict(
    weights='its weights', preprocessing='its preprocessing', pictures='the images', views='the crops and flips'
)


class LogitsCache:
    """Float16 logits by (image, view); what is not there yet, or damaged, counts as missing.

    A folder holds ``logits.f16``, of 2 bytes a logit and 4 a row (CIFAR-100's 50,000 images in 162 views and 100
    classes take 1.65 GB), and ``key.json``, which says what the logits are of. Every row has a checksum of its logits
    and its place. Several processes may read and write at once: they write the same values, and a row that a kill cut
    short is missing still. Neither file is opened through a link. In a folder that cannot be written to, it is read.

    Args:
        folder (str): Where; made if it is not there.
        key (dict): What the logits depend on, plain values: ``weights``, ``preprocessing``, ``pictures``, ``views``,
            and ``answers``, logits of images that anyone can make, which are compared within a tolerance.
        shape (tuple[int, int, int]): Numbers of images, views and classes.
        where (str): The teacher, named in errors.

    Raises:
        UsageError: If the folder holds the logits of something else, is damaged, or the disk is too full.
    """

    def __init__(
        self, folder: str, key: Mapping[str, Any], shape: tuple[int, int, int], where: str = 'teacher'
    ) -> None:
        self.folder, self.where, self.shape = folder, where, tuple(shape)
        """``shape``: numbers of images, views and classes."""
        os.makedirs(folder, exist_ok=True)
        self._settle(json.loads(json.dumps({**key, 'shape': shape, 'format': FORMAT})))  # as they come from the file
        images, views, classes = shape
        self._rows = self._map((images, views, classes + _WORDS))
        odd = 2 * np.arange(classes + 1, dtype=np.uint32) + 1
        self._factors = odd * np.uint32(0x9E3779B1)  # odd: no change of a single word passes unseen
        self._told = False

    def _map(self, shape: tuple[int, int, int]) -> np.memmap:
        """Allocate and map the file."""
        path, size = osp.join(self.folder, 'logits.f16'), 2 * int(np.prod(shape, dtype=np.int64))
        handle, self.writable = self._open(path)
        with os.fdopen(handle, 'r+b' if self.writable else 'rb') as file:
            if self.writable:
                # All of it now: a disk that is full later would kill a process that writes to the map.
                try:
                    os.posix_fallocate(file.fileno(), 0, size)
                except OSError as error:
                    raise UsageError(
                        f'{self.where}: the cache needs {size / 1e9:.2f} GB in {self.folder}, which are not there ('
                        f'{error.strerror}): make room, or name another folder.'
                    ) from None
            if os.fstat(file.fileno()).st_size != size:
                raise UsageError(f'{self.where}: {path} is cut short or too long: delete the folder, or name another.')
            rows = np.memmap(file, np.uint16, 'r+' if self.writable else 'r', shape=shape)
        # A batch reads rows from all over the file: what a disk would read ahead, 128 kB a row, is in vain.
        rows._mmap.madvise(mmap.MADV_RANDOM)  # type: ignore[attr-defined]
        return rows

    def _open(self, path: str) -> tuple[int, bool]:
        """Open a file of the folder, which must not be a link; returns the handle, and whether it may be written."""
        flags = os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | flags, 0o644), True
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise UsageError(
                    f'{self.where}: {path} is a link, and caches are not read or written through links: delete it, or '
                    'name the folder that it leads to.'
                ) from None
            if error.errno not in _READ_ONLY or not osp.exists(path):
                raise
            return os.open(path, os.O_RDONLY | flags), False

    def __deepcopy__(self, memo: dict) -> 'LogitsCache':
        """Share the file between copies of a model."""
        return self

    def read(self, images: np.ndarray, views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Look up.

        Args:
            images (ndarray): Shape (N,), int64.
            views (ndarray): Shape (N,), int64.

        Returns:
            tuple[ndarray, ndarray]: Logits, shape (N, K), float16, and which rows are missing, shape (N,).
        """
        rows = np.asarray(self._rows[images, views])
        return self._logits(rows).copy(), self._missing(rows, images * self.shape[1] + views)

    def write(self, images: np.ndarray, views: np.ndarray, logits: np.ndarray) -> None:
        """Write rows, float16, shape (N, K); where the folder cannot be written to, nothing happens.

        Raises:
            UsageError: If a logit is not finite, as one beyond 65504 is in float16.
        """
        if not np.isfinite(logits).all():
            raise UsageError(
                f'{self.where}: its logits are not finite in float16 and cannot be cached: leave out `cache`.'
            )
        if self.writable:
            bits = logits.view(np.uint16) ^ _NAN
            self._rows[images, views] = np.hstack([bits, self._checksums(bits, images * self.shape[1] + views)])

    def missing(self, images: slice) -> np.ndarray:
        """Which rows of some images are missing, or damaged, shape (N, V)."""
        rows = np.asarray(self._rows[images])
        first = (images.start or 0) * self.shape[1]
        flat = rows.reshape(-1, rows.shape[-1])
        return self._missing(flat, np.arange(first, first + len(flat))).reshape(rows.shape[:2])

    def flush(self) -> None:
        """Let all that was written reach the disk."""
        if self.writable:
            self._rows.flush()

    def _logits(self, rows: np.ndarray) -> np.ndarray:
        return (rows[:, :-_WORDS] ^ _NAN).view(np.float16)

    def _checksums(self, bits: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Checksums, shape (N, 2), of rows of stored words, shape (N, K), at their places in the file, shape (N,)."""
        sums = (bits * self._factors[:-1]).sum(1, dtype=np.uint32)
        sums += (places + 1).astype(np.uint32) * self._factors[-1]
        sums ^= sums >> np.uint32(15)
        return np.maximum(sums, 1).astype('<u4').view(np.uint16).reshape(-1, _WORDS)

    def _missing(self, rows: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Which rows are not there, or are not what was written; the latter are told once."""
        logits, stored = self._logits(rows), rows[:, -_WORDS:]
        absent = np.isnan(logits).any(1) | ~stored.any(1)
        sums = self._checksums(rows[:, :-_WORDS], places)
        damaged = ~absent & ((stored != sums).any(1) | ~np.isfinite(logits).all(1))
        if damaged.any() and not self._told:
            self._told = True
            print_log(
                f'{self.where}: the cache in {self.folder} has damaged rows, such as that of image '
                f'{places[damaged][0] // self.shape[1]}; they are computed again. Check the disk.',
                'current',
                WARNING,
            )
        return absent | damaged

    def _settle(self, key: dict[str, Any]) -> None:
        """Write the key, or compare with the one that is there."""
        path = osp.join(self.folder, 'key.json')
        if not osp.lexists(path):
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
        with os.fdopen(self._open(path)[0], encoding='utf-8') as file:
            try:
                there = json.load(file)
            except (ValueError, RecursionError):
                there = None
        if not isinstance(there, dict):
            raise UsageError(f'{self.where}: {path} is damaged: delete the folder, it will be built anew.')
        self._compare(key, there)

    def _compare(self, key: dict[str, Any], there: dict[str, Any]) -> None:
        if there.get('format') != FORMAT:
            raise UsageError(
                f'{self.where}: the cache in {self.folder} was made by another version of shake_mm, in another format: '
                'delete it, it will be built anew, or name another folder.'
            )
        differs = [meaning for part, meaning in _MEANING.items() if there.get(part) != key.get(part)]
        if not differs and not _agree(key.pop('answers', None), there.pop('answers', None)):
            differs = ['what the code of its forward pass makes of the same weights']
        if differs or there != key:
            raise UsageError(
                f'{self.where}: the cache in {self.folder} is of another teacher or data set ('
                f'{" and ".join(differs) or "its shape"} changed): delete it, or name another folder.'
            )


def _agree(here: Any, there: Any) -> bool:
    """Whether two networks answer alike, as far as float16 and the rounding of other processors allow."""
    if here is None or there is None:
        return here is there
    try:
        here, there = np.array(here, np.float32), np.array(there, np.float32)
    except (ValueError, TypeError, OverflowError):  # numbers that a file was to hold
        return False
    return here.shape == there.shape and deviation(here, there) <= TOLERANCE


def deviation(fresh: np.ndarray, kept: np.ndarray) -> float:
    """The largest difference between logits, beside the largest of them, or beside 1 where they are small."""
    kept = kept.astype(np.float32)
    return float(np.abs(fresh - kept).max() / max(1.0, np.abs(fresh).max()))


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
