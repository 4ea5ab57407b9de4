"""A frozen teacher whose logits are looked up."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from ..datasets.images import Images
from ..errors import UsageError
from ..taps import TapName, Taps
from .cache import LogitsCache, digest, weights_key
from .frozen import FrozenMember

# Float16 keeps 11 bits; the network's own rounding, over other batches, comes on top.
_TOLERANCE = 2**-9
_CHECKED = 16


class Looked(NamedTuple):
    """Logits that were looked up, shape (N, K), float32 at least."""

    logits: Tensor


class CachedMember(FrozenMember):
    """A frozen teacher that computes its logits for a view of an image once, ever; see :class:`LogitsCache`.

    A training batch's samples say which images and views they are (``sample_idx``, ``view_idx``). What is not in the
    cache is computed by the network and put there. Whether it is or not, the logits are those that float16 holds, so
    that a run does not depend on it. In evaluation, where nothing is known of the images, the network runs.

    Some of the first rows that a run finds there are computed again, and have to agree.

    Args:
        name (str): The member's, ``teacher0``.
        folder (str): Of the cache.
        *args (Any): See :class:`FrozenMember`.
        **kwargs (Any): See :class:`FrozenMember`.
    """

    fills_taps = True

    def __init__(self, name: str, folder: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.name, self.folder = name, folder
        self.cache: LogitsCache | None = None
        self._verified = False

    def open(self, images: Images) -> LogitsCache:
        """Open the cache for a data set.

        Raises:
            UsageError: If the cache is of another teacher or data set.
        """
        mean, std, rgb = self.view.normalization
        key = dict(
            weights=weights_key(self.network),
            preprocessing=dict(
                mean=mean.flatten().tolist(), std=std.flatten().tolist(), rgb=rgb, resize=self.view.resize
            ),
            pictures=digest(images),
            views=images.views.describe(),
        )
        classes = self.task.num_classes(self.network)
        assert classes is not None  # check_cacheable has seen to it
        self.cache = LogitsCache(self.folder, key, (len(images), len(images.views), classes), self.name)
        self._verified = False
        return self.cache

    @property
    def opened(self) -> LogitsCache:
        """The cache, which a run opens when it begins.

        Raises:
            UsageError: If it is not open.
        """
        if self.cache is None:
            raise UsageError(f"{self.name}: `cache` needs dict(type='shake_mm.TeacherCacheHook') in `custom_hooks`.")
        return self.cache

    def forward(self, inputs: Tensor, data_samples: list | None = None) -> Any:
        """Look the logits of a training batch up; run the network where there are no samples."""
        if data_samples is None:
            return super().forward(inputs)
        images, views = self._identities(data_samples)
        logits, missing = self.opened.read(images, views)
        if missing.any():
            where = np.flatnonzero(missing)
            logits[where] = fresh = self.compute(inputs[torch.from_numpy(where).to(inputs.device)])
            self.opened.write(images[where], views[where], fresh)
        if not self._verified:
            self._verify(inputs, logits, np.flatnonzero(~missing)[:_CHECKED])
        dtype = torch.promote_types(inputs.dtype, torch.float32)
        return Looked(torch.from_numpy(logits).to(inputs.device, non_blocking=True).to(dtype))

    def compute(self, inputs: Tensor) -> np.ndarray:
        """Run the network on a student's batch, shape (N, C, H, W); logits, shape (N, K), float16, on the host."""
        out = super().forward(inputs)
        return self.task.logits_of(self.network, out).half().cpu().numpy()

    def forward_head(self, passed: Any, taps: Taps) -> None:
        """Put the logits that were looked up where the network's head would have put them."""
        if isinstance(passed, Looked):
            taps.put(f'{self.name}.logits', passed.logits)
        else:
            super().forward_head(passed, taps)

    def _identities(self, samples: list) -> tuple[np.ndarray, np.ndarray]:
        try:
            return np.array([s.sample_idx for s in samples]), np.array([s.view_idx for s in samples])
        except AttributeError:
            raise UsageError(
                f"{self.name}: `cache` needs to know the views: end the pipeline in dict(type='PackInputs', "
                "meta_keys=('sample_idx', 'view_idx')), or leave that to --cache-teachers of tools/train.py."
            ) from None

    def _verify(self, inputs: Tensor, logits: np.ndarray, rows: np.ndarray) -> None:
        """Compare some of what was looked up with what the network says."""
        if not len(rows):
            return
        self._verified = True
        fresh = self.compute(inputs[torch.from_numpy(rows).to(inputs.device)]).astype(np.float32)
        deviation = np.abs(fresh - logits[rows]).max()
        if not deviation <= _TOLERANCE * max(1.0, np.abs(fresh).max()):
            raise UsageError(
                f'{self.name}: the cache in {self.folder} is not of these images, its logits are {deviation:.3g} off'
                ': leave out random transforms beside the crop and flip (Mixup too), or delete it.'
            )
        print_log(f'{self.name}: the cache agrees with the network within {deviation:.2g}.', 'current')


def check_cacheable(member: CachedMember, read: Iterable[str], data_preprocessor: nn.Module) -> None:
    """Refuse a cache for what it cannot hold.

    Args:
        member (CachedMember): The teacher.
        read (iterable of str): The taps that the objective reads, of whomever.
        data_preprocessor (nn.Module): The student's.

    Raises:
        UsageError: If a tap other than the logits is read, the network is no classifier, or samples are mixed.
    """
    name, task = member.name, member.task
    if not task.compares_members(member.network) or task.num_classes(member.network) is None:
        raise UsageError(f'{name}: only the logits of a classifier can be cached: leave out its `cache`.')
    if getattr(data_preprocessor, 'batch_augments', None) is not None:
        raise UsageError(f'{name}: a cache does not know mixed images: leave out its `cache`, or the batch_augments.')
    others = sorted(tap for tap in read if TapName.parse(tap).member == name and tap != f'{name}.logits')
    if others:
        raise UsageError(f'{name}: a cache holds logits alone, but {others[0]} is read too: leave out its `cache`.')
