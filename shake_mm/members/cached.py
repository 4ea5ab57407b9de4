"""A frozen teacher whose logits are looked up."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from ..compat.torch_names import autocast_off
from ..datasets.images import Images
from ..errors import UsageError
from ..taps import TapName, Taps
from .cache import TOLERANCE, LogitsCache, deviation, digest, weights_key
from .frozen import FrozenMember

BLOCK = 32
"""Views a pass, whatever the batch: sums of floats, and with them logits, depend on the shape of a batch."""
_ANSWERS = 2


class Looked(NamedTuple):
    """Logits that were looked up, shape (N, K), float32 at least."""

    logits: Tensor


class CachedMember(FrozenMember):
    """A frozen teacher that computes its logits for a view of an image once, ever; see :class:`LogitsCache`.

    A training batch's samples say which images and views they are (``sample_idx``, ``view_idx``). What is not in the
    cache is computed by the network and put there, in float32 and in blocks of one shape, so that it does not matter
    which run computes it. Whether it is there or not, the logits are those that float16 holds, so that a run does not
    depend on it. In evaluation, where nothing is known of the images, the network runs.

    Some of the first rows that a run finds there are computed again, and have to agree; all have a checksum.

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
            answers=self._answers(next(iter(images)).shape[2], self.view.resize or images.views.crop),
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
        self.verify(inputs, logits, np.flatnonzero(~missing)[:BLOCK])
        dtype = torch.promote_types(inputs.dtype, torch.float32)
        return Looked(torch.from_numpy(logits).to(inputs.device, non_blocking=True).to(dtype))

    @torch.no_grad()
    def compute(self, inputs: Tensor) -> np.ndarray:
        """Run the network on a student's batch, shape (N, C, H, W); logits, shape (N, K), float16, on the host.

        It runs in float32 and on blocks of :data:`BLOCK` views, the last one filled up: the logits of a view are the
        same whichever others come along.
        """
        passed = []
        with autocast_off(inputs.device.type):
            for block in inputs.split(BLOCK):
                filled = torch.cat([block, block.new_zeros(BLOCK - len(block), *block.shape[1:])])
                logits = self.task.logits_of(self.network, super().forward(filled))
                passed.append(logits[: len(block)])
        return torch.cat(passed).half().cpu().numpy()

    @torch.no_grad()
    def _answers(self, channels: int, size: Sequence[int]) -> list[list[float]]:
        """What the network says to images that anyone can make: layers of other code may have the same weights."""
        noise = torch.rand(BLOCK, channels, *size, generator=torch.Generator().manual_seed(0)) * 4 - 2
        weight = next(self.network.parameters())
        noise = noise.to(weight.device, torch.promote_types(weight.dtype, torch.float32))
        logits = self.task.logits_of(self.network, self.task.forward_trunk(self.network, noise))
        return logits[:_ANSWERS].float().tolist()

    def forward_head(self, passed: Any, taps: Taps) -> None:
        """Put the logits that were looked up where the network's head would have put them."""
        if isinstance(passed, Looked):
            logits = passed.logits  # the cache holds all, whichever classes a student has
            taps.put(f'{self.name}.logits', logits if self.classes is None else self.classes.take(logits))
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

    def verify(self, inputs: Tensor, logits: np.ndarray, rows: np.ndarray) -> None:
        """Compare some of what was looked up with what the network says, once a run.

        Args:
            inputs (Tensor): The student's batch, shape (N, C, H, W).
            logits (ndarray): What the cache holds for it, shape (N, K).
            rows (ndarray): Which of the batch to compare.

        Raises:
            UsageError: If they differ.
        """
        if self._verified or not len(rows):
            return
        self._verified = True
        fresh = self.compute(inputs[torch.from_numpy(rows).to(inputs.device)]).astype(np.float32)
        off = deviation(fresh, logits[rows])
        if not off <= TOLERANCE:
            raise UsageError(
                f'{self.name}: the cache in {self.folder} is not of these images, its logits are {off:.3g} off'
                ': leave out random transforms beside the crop and flip (Mixup too), or delete it.'
            )
        print_log(f'{self.name}: the cache agrees with the network within {off:.2g}.', 'current')


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
