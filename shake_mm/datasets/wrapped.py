"""Data sets within data sets: what mmengine's, mmpretrain's, mmdet's and our wrappers hold, and where."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.dataset import BaseDataset, ClassBalancedDataset, ConcatDataset, RepeatDataset

from ..errors import UsageError

KEEPING = ('ConcatDataset', 'RepeatDataset', 'ClassBalancedDataset', 'KFoldDataset')
"""Wrappers whose items are those of the data sets within."""


def innermost(dataset: Any) -> Iterator[tuple[BaseDataset, tuple[Any, ...]]]:
    """The data sets with a pipeline of their own below any wrappers, each with the wrappers around it."""
    if isinstance(dataset, BaseDataset):
        yield dataset, ()
        return
    own = getattr(dataset, '__dict__', {})  # wrappers pass on the attributes of what they wrap
    for inner in (own.get('dataset'), own.get('_dataset'), *own.get('datasets', ())):
        if inner is not None:
            yield from ((found, (dataset, *wrappers)) for found, wrappers in innermost(inner))


def innermost_configs(config: Mapping[str, Any]) -> list[Any]:
    """The configs of the data sets below any wrappers, in their order."""
    inner = [config['dataset']] if 'dataset' in config else list(config.get('datasets') or ())
    return [found for child in inner for found in innermost_configs(child)] if inner else [config]


def parts_of(dataset: Any) -> list[Any]:
    """The distinct data sets whose items a data set gives as they are, in their order; itself if it wraps none.

    Raises:
        UsageError: If a wrapper makes other items.
    """
    len(dataset)  # a fold exists once it is asked for
    parts = {}
    for inner, wrappers in innermost(dataset):
        for wrapper in wrappers:
            _check_keeps(wrapper)
        parts[id(inner)] = inner
    return list(parts.values()) or [dataset]


def _check_keeps(wrapper: Any) -> None:
    kind = type(wrapper)
    if kind.__name__ not in (*KEEPING, '_SlicedDataset') and not kind.__module__.startswith(f'{__package__}.'):
        raise UsageError(
            f'train_dataloader.dataset: it is not known which images a {kind.__name__} is made of: leave out --batched '
            'and --cache-teachers, or take it out.'
        )


def place_of(dataset: Any, position: int) -> tuple[Any, int]:
    """The innermost data set that a sample comes from, and its position in that.

    Args:
        dataset (Dataset): One that may wrap others, and gives the same sample for a position whenever it is asked.
        position (int): Of the sample in it.

    Raises:
        UsageError: If a wrapper makes other items.
    """
    own = getattr(dataset, '__dict__', {})
    if isinstance(dataset, BaseDataset) or not own.keys() & {'dataset', '_dataset', 'datasets'}:
        return dataset, position
    if isinstance(dataset, ConcatDataset):
        part, position = dataset._get_ori_dataset_idx(position)
        return place_of(dataset.datasets[part], position)
    if isinstance(dataset, RepeatDataset | ClassBalancedDataset):
        return place_of(dataset.dataset, dataset._get_ori_dataset_idx(position))
    _check_keeps(dataset)  # of the others positions are those within: a fold is a subset already
    return place_of(own.get('dataset', own.get('_dataset')), position)


def starts(dataset: Any) -> list[int]:
    """The positions at which the parts of a data set begin, of which it joins several; else the first."""
    own = getattr(dataset, '__dict__', {})
    inner = own.get('dataset')
    if isinstance(dataset, ConcatDataset):
        return [0, *dataset.cumulative_sizes[:-1]]
    if isinstance(dataset, BaseDataset | ClassBalancedDataset) or inner is None:
        return [0]
    return starts(inner)
