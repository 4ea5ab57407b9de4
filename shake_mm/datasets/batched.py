"""A whole set of small images as one tensor on the device, from which a batch is cut at once.

mmengine's data loader asks such a set for a whole batch (PyTorch's ``__getitems__``), in whatever order its sampler
has: shuffled, distributed over processes, or resumed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.device import get_device
from torch import Tensor
from torch.utils.data import get_worker_info

from ..errors import UsageError
from ..registry import DATASETS, FUNCTIONS
from .augment import Augment
from .cutout import Cutout
from .seeded import Draw
from .views import ViewSet
from .wrapped import parts_of, place_of


class BatchedImages:
    """All images of a data set, of one size and 8 bits; a batch is cut from them in a handful of operations.

    Draws come from PyTorch's global generator or, if a :class:`SeededBatchSampler` asks, from (seed, epoch, position)
    alone. Needs ``num_workers=0``, ``pin_memory=False`` and ``collate_fn=dict(type='shake_mm.as_batch')``;
    ``tools/train.py --batched`` writes all that into a config. What mmengine's wrappers repeat is kept once.

    Args:
        dataset (dict | Dataset): A classification data set, or its config, whose items hold ``img``, (H, W, C) or of
            gray images (H, W), all of one size, and ``gt_label``; or several in mmengine's wrappers.
        device (str, optional): Where to keep them. Defaults to the device that mmengine trains on.
        cutout (dict, optional): What :class:`Cutout` takes, to be done at last.
        augment (dict, optional): mmpretrain's ``AutoAugment`` or ``RandAugment``, as :class:`.Augment` does it, before
            the cutout.

    Raises:
        UsageError: If images differ in size, are not of 8 bits, or are gray and to be augmented, samples have not one
            label, or a worker process is to use another device's memory.
    """

    draws = 0
    """How many random numbers an image takes, without those of :attr:`after`."""

    def __init__(
        self,
        dataset: Any,
        device: str | None = None,
        cutout: Mapping[str, Any] | None = None,
        augment: Mapping[str, Any] | None = None,
    ) -> None:
        from .view_sample import ViewSample  # which needs mmpretrain

        self._sample = ViewSample.of
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        self.parts = parts_of(self.dataset)
        """The data sets that hold the images, one after the other."""
        self.after: dict[str, Augment | Cutout] = {}
        """What is done to images in the end, in this order, by the name of its argument."""
        if augment is not None:
            self.after['augment'] = Augment(augment)
        if cutout is not None:
            self.after['cutout'] = Cutout(**cutout)
        images, labels = _load(self.parts, type(self).__name__)
        self._images = _images_at(self.dataset, self.parts)
        self.device = torch.device(device or get_device())
        self.channels = images.shape[-1]
        if augment is not None and self.channels != 3:
            raise UsageError(
                f'train_dataloader: {augment["type"]} of {type(self).__name__} needs images of three channels, these '
                f"have {self.channels}: set color_type='color' of LoadImageFromFile, or take it out."
            )
        self._labels = torch.from_numpy(labels).to(self.device).split(1)
        self._store(images)

    def _store(self, images: np.ndarray) -> None:
        """Keep images, shape (N, H, W, C)."""
        raise NotImplementedError

    def _drawn(self, positions: Sequence[int], draws: np.ndarray) -> dict[str, Any]:
        """The batch of images at positions that random numbers, shape (N, :attr:`draws`), make."""
        raise NotImplementedError

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._images)

    def __getattr__(self, name: str) -> Any:
        """Look up attributes of the data set (``metainfo``, ``get_gt_labels``, ...)."""
        if name == 'dataset':
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __getitem__(self, position: int) -> dict[str, Any]:
        """Return one image as it is drawn."""
        batch = self.__getitems__([range(len(self))[position]])
        return {'inputs': batch['inputs'][0], 'data_samples': batch['data_samples'][0]}

    def __getitems__(self, positions: Sequence[int | Draw]) -> dict[str, Any]:
        """Return a batch as it is drawn.

        Args:
            positions (list): Of the images; or their :class:`Draw`, which say the random numbers too.

        Returns:
            dict: ``inputs``, shape (N, C, h, w), uint8, and ``data_samples``, a list.
        """
        plain = [draw.position if isinstance(draw, Draw) else draw for draw in positions]
        number = self.draws + sum(part.draws for part in self.after.values())
        if positions and isinstance(positions[0], Draw):
            draws = uniform(np.array(positions, np.uint64), number)
        else:
            draws = torch.rand(len(positions), number, dtype=torch.float64).numpy()
        batch = self._drawn(self._images[plain].tolist(), draws[:, : self.draws])
        used = self.draws
        for part in self.after.values():
            batch['inputs'] = part(batch['inputs'], draws[:, used : used + part.draws])
            used += part.draws
        return batch

    def _batch(self, inputs: Tensor, positions: Sequence[int], views: Sequence[int]) -> dict[str, Any]:
        if self.device.type == 'cuda' and get_worker_info() is not None:
            raise UsageError(
                f'train_dataloader: {type(self).__name__} keeps its images on the device: set num_workers=0.'
            )
        samples = [self._sample(self._labels[i], i, view) for i, view in zip(positions, views)]
        return {'inputs': inputs, 'data_samples': samples}


@DATASETS.register_module()
class BatchedViews(BatchedImages):
    """Batches of the views that padding, a random crop and a flip make, see :class:`BatchedImages`.

    Images are padded, cropped and mirrored as mmpretrain's ``RandomCrop`` and ``RandomFlip`` do it, one by one, and
    normalized by the model's data preprocessor as always. The images are kept padded, and mirrored too if views are:
    CIFAR-100's training set takes 480 MB.

    Args:
        dataset (dict | Dataset): See :class:`BatchedImages`.
        device (str, optional): See :class:`BatchedImages`.
        cutout (dict, optional): See :class:`BatchedImages`. A teacher's logits are not kept by view then.
        augment (dict, optional): See :class:`BatchedImages`. A teacher's logits are not kept by view then.
        **views: What :class:`ViewSet` takes: ``crop_size``, ``padding``, ``pad_val``, ``flip_prob``.
    """

    draws = 3

    def __init__(
        self,
        dataset: Any,
        device: str | None = None,
        cutout: Mapping[str, Any] | None = None,
        augment: Mapping[str, Any] | None = None,
        **views: Any,
    ) -> None:
        self._settings = views
        super().__init__(dataset, device, cutout, augment)

    def _store(self, images: np.ndarray) -> None:
        self.views = ViewSet(images.shape[1:3], **self._settings)
        padded = torch.from_numpy(self.views.pad(images)).permute(0, 3, 1, 2).contiguous().to(self.device)
        stored = torch.stack([padded, padded.flip(-1)], dim=1) if self.views.flips == 2 else padded[:, None]
        # Overlapping: row k is the view's width of pixels that begins at pixel k of all images, one after the other.
        pixels, width = stored.reshape(-1), self.views.crop[1]
        self._rows = pixels.as_strided((len(pixels) - width + 1, width), (1, 1))
        planes = torch.arange(self.channels)[:, None] * self.views.padded[0] + torch.arange(self.views.crop[0])
        self._offsets = (planes * self.views.padded[1]).to(self.device)

    def _drawn(self, positions: Sequence[int], draws: np.ndarray) -> dict[str, Any]:
        return self.batch(positions, self.views.pick(draws).tolist())

    def batch(self, positions: Sequence[int], views: Sequence[int]) -> dict[str, Any]:
        """Return given views of given images, which :attr:`parts` hold, as :meth:`__getitems__` does."""
        return self._batch(self._cut(np.array(positions), np.array(views)), positions, views)

    def _cut(self, which: np.ndarray, view: np.ndarray) -> Tensor:
        """Cut views, shape (N,), out of the images at the positions ``which``, shape (N,)."""
        height, width = self.views.padded
        top, left, mirrored = self.views.place(view)
        # A mirrored view lies where the image's left is its right.
        left = np.where(mirrored, width - self.views.crop[1] - left, left)
        start = (which * self.views.flips + mirrored) * (self.channels * height * width) + top * width + left
        start = torch.from_numpy(start).to(self._rows.device, non_blocking=True)
        rows = (start[:, None, None] + self._offsets).flatten()
        return self._rows.index_select(0, rows).view(-1, self.channels, *self.views.crop)


@FUNCTIONS.register_module()
def as_batch(batch: Any) -> Any:
    """Collate function of data sets that return whole batches."""
    if not isinstance(batch, dict):
        raise UsageError(
            "train_dataloader: collate_fn=dict(type='shake_mm.as_batch') is for shake_mm.BatchedViews and "
            'shake_mm.BatchedCrops alone, possibly inside a SeededDataset: use default_collate.'
        )
    return batch


def uniform(keys: np.ndarray, number: int = 3) -> np.ndarray:
    """Numbers of [0, 1) for each key, a function of the key alone (the SplitMix64 generator's output function).

    Args:
        keys (ndarray): Shape (N, K), uint64.
        number (int): How many a key. Defaults to 3.

    Returns:
        ndarray: Shape (N, number), float64.
    """
    state = np.zeros(len(keys), np.uint64)
    for column in keys.T:
        state = _mixed(state ^ column)
    draws = np.stack([_mixed(state + np.uint64(i)) for i in range(1, number + 1)], axis=1)
    return (draws >> np.uint64(11)) * 2.0**-53


def _mixed(values: np.ndarray) -> np.ndarray:
    values = values + np.uint64(0x9E3779B97F4A7C15)  # wraps around, as it should
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _load(parts: Sequence[Any], kind: str) -> tuple[np.ndarray, np.ndarray]:
    """All images (N, H, W, C) and labels (N,) of data sets, for a set of that ``kind``."""
    items = [part[position] for part in parts for position in range(len(part))]
    images = [item['img'][..., None] if item['img'].ndim == 2 else item['img'] for item in items]
    sizes = {image.shape for image in images}
    if len(sizes) != 1:
        raise UsageError(
            f'train_dataloader: {kind} needs images of one size, and these have {len(sizes)}, such as '
            f'{" and ".join(map(str, sorted(sizes)[:2]))}: resize them in the pipeline of its `dataset`.'
        )
    odd = next((image.dtype for image in images if image.dtype not in (np.uint8, np.float32)), None)
    if odd is not None:
        raise UsageError(
            f"train_dataloader: {kind} keeps images of 8 bits, and these are {odd}: set color_type='color' of "
            'LoadImageFromFile, or leave out --batched.'
        )
    labels = [np.asarray(item['gt_label']).reshape(-1) for item in items]
    if any(label.size != 1 for label in labels):
        raise UsageError(
            f'train_dataloader: {kind} keeps one label of each image, and some have several, or none: leave out '
            '--batched.'
        )
    return np.stack(images), np.concatenate(labels)


def _images_at(dataset: Any, parts: Sequence[Any]) -> np.ndarray:
    """The image of every sample, shape (N,): its position among those of all parts."""
    if len(parts) == 1 and parts[0] is dataset:
        return np.arange(len(dataset))
    first = dict(zip(map(id, parts), np.cumsum([0, *map(len, parts)]).tolist()))
    places = (place_of(dataset, position) for position in range(len(dataset)))
    return np.array([first[id(part)] + position for part, position in places])
