"""Contrast sets for contrastive representation distillation, drawn beside the items of any data set."""

from typing import Any

import numpy as np
import torch
from mmengine.dataset import force_full_init

from shake_mm.errors import UsageError
from shake_mm.registry import DATASETS

MODES = ('exact', 'relax')


@DATASETS.register_module()
class ContrastDataset:
    """A classification data set whose items also name the samples to contrast them with (CRD, Tian et al., ICLR 2020).

    The ``data_samples`` of an item gain two fields, int64:

    - ``contrast_idx``, shape :math:`(K + 1, )`: the positive, then :math:`K` negatives, samples of *other* classes, as
      positions in this data set. No negative occurs twice, unless there are fewer than :math:`K`.
    - ``own_idx``, shape :math:`()`: the item's own position.

    The draws follow numpy's global random state, which mmengine seeds in every worker.

    Args:
        dataset (dict | BaseDataset): The data set, or its config; also one of mmengine's wrappers. Every sample has a
            single label, and the pipeline ends in ``PackInputs``.
        negatives (int): :math:`K`. Defaults to 16384, the CRD benchmark's.
        mode (str): The positive: ``'exact'`` for the item itself, ``'relax'`` for any sample of its class.
            Defaults to ``'exact'``.
        lazy_init (bool): Whether to load annotations later, with :meth:`full_init`. Defaults to False.

    Raises:
        UsageError: If an argument is out of range, or the data set lacks labels or has a single class.

    Example:
        >>> pipeline = [dict(type='PackInputs')]
        >>> digits = dict(type='shake_mm.Digits', pipeline=pipeline)
        >>> dataset = ContrastDataset(digits, negatives=100)
        >>> dataset[7]['data_samples'].contrast_idx.shape
        torch.Size([101])
    """

    def __init__(self, dataset: Any, negatives: int = 16384, mode: str = 'exact', lazy_init: bool = False) -> None:
        if negatives <= 0:
            raise UsageError(f'negatives={negatives} of ContrastDataset must be 1 or more.')
        if mode not in MODES:
            raise UsageError(f"mode={mode!r} of ContrastDataset does not exist: use 'exact' or 'relax'.")
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        self.negatives, self.mode = negatives, mode
        self._fully_initialized = False
        if not lazy_init:
            self.full_init()

    @property
    def metainfo(self) -> dict:
        """Meta information of the wrapped data set."""
        return self.dataset.metainfo

    @property
    def CLASSES(self) -> tuple[str, ...] | None:
        """Names of the classes, where hooks of mmpretrain look for them."""
        return self.metainfo.get('classes')

    def full_init(self) -> None:
        """Load the wrapped data set and sort its samples by class."""
        if self._fully_initialized:
            return
        self.dataset.full_init()
        self._labels = self._read_labels()
        classes, self._class_of, self._counts = np.unique(self._labels, return_inverse=True, return_counts=True)
        if len(classes) < 2:
            raise UsageError('dataset of ContrastDataset has a single class, but negatives come from other classes.')
        # The samples of class c stand together, at order[starts[c] : starts[c] + counts[c]].
        self._order = np.argsort(self._class_of, kind='stable')
        self._starts = np.cumsum(self._counts) - self._counts
        self._fully_initialized = True

    def _read_labels(self) -> np.ndarray:
        """Return the label of every sample, shape :math:`(n, )`."""
        labels = np.empty(len(self.dataset), np.int64)
        for position in range(len(labels)):
            label = self.dataset.get_data_info(position).get('gt_label')
            if not isinstance(label, int | np.integer):
                raise UsageError(
                    f'dataset of ContrastDataset has gt_label={label!r} at position {position}: '
                    'every sample needs one label, an integer.'
                )
            labels[position] = label
        return labels

    @force_full_init
    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._labels)

    @force_full_init
    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Return the annotation of a sample."""
        return self.dataset.get_data_info(idx)

    @force_full_init
    def get_cat_ids(self, idx: int) -> list[int]:
        """Return the label of a sample, in a list."""
        return [int(self._labels[idx])]

    @force_full_init
    def get_gt_labels(self) -> np.ndarray:
        """Return the label of every sample, shape :math:`(n, )`."""
        return self._labels.copy()

    def __getitem__(self, idx: int) -> dict[str, Any]:
        """Return the wrapped data set's item with its contrast set."""
        position = range(len(self))[idx]
        item = self.dataset[position]
        if 'data_samples' not in item:
            raise UsageError("pipeline of ContrastDataset's dataset makes no data_samples: end it in PackInputs.")
        sample = item['data_samples']
        sample.set_field(torch.from_numpy(self._draw(position)), 'contrast_idx', dtype=torch.Tensor)
        sample.set_field(torch.tensor(position), 'own_idx', dtype=torch.Tensor)
        return item

    def _draw(self, position: int) -> np.ndarray:
        """Draw the positive and the negatives of a sample, shape :math:`(K + 1, )`."""
        label = self._class_of[position]
        start, count = self._starts[label], self._counts[label]
        others = len(self._labels) - count
        # numpy's legacy functions permute all samples; a Generator seeded by them draws K in a fifth of the time.
        rng = np.random.default_rng(np.random.randint(np.iinfo(np.int64).max, dtype=np.int64))
        drawn = rng.choice(others, self.negatives, replace=self.negatives > others, shuffle=False)
        drawn += count * (drawn >= start)
        chosen = np.empty(self.negatives + 1, np.int64)
        chosen[0] = position if self.mode == 'exact' else self._order[start + rng.integers(count)]
        chosen[1:] = self._order[drawn]
        return chosen
