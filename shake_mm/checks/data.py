"""Checks of a run's data before it begins: that there are samples, and that the first ones pass through the model."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from logging import WARNING
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ..datasets.seeded import generators_kept
from ..datasets.wrapped import innermost, starts
from ..engine import Distiller
from ..errors import UsageError
from ..explain import explain, reason
from ..tasks import Task, task_of
from .networks import check_last_batch, check_networks, check_size

PROBED = 2
NO_TENSOR = re.compile(r"can't convert np\.ndarray of type numpy\.(uint\d+)")
"""What torch before 2.3 says of pixels that it has no dtype for."""
TOLD = ('data_root', 'ann_file', 'data_prefix', 'split')


@contextmanager
def building(name: str, config: Any) -> Iterator[None]:
    """Report an error raised while a data set is built as an error in the data that its config names.

    Args:
        name (str): Key of the loader, such as ``'train_dataloader'``.
        config (Any): The data set's config.
    """
    try:
        yield
    except Exception as error:
        sentence = explain(error)
        if not _is_in_dataset(error) or (sentence is not None and not isinstance(error, OSError)):
            raise
        if 'need at least one array' in str(error):  # mmengine's, of a list without samples
            raise UsageError(_empty(name, config)) from error
        raise UsageError(
            f'{name}.dataset cannot be built from {_told(config)}: {reason(error)}: correct these, or fix the data.'
        ) from error


def check_data(loader: DataLoader, name: str, config: Any, model: nn.Module) -> None:
    """Refuse data on which the first steps of a run would fail, or whose labels the model has no class for.

    The first two samples are read, collated and preprocessed, and the networks run on their shapes (not on their
    values); where data sets are joined, the first samples of each. The states of random generators are restored.

    Args:
        loader (DataLoader): The run's loader.
        name (str): Its key in the config.
        config (Any): The data set's config.
        model (nn.Module): The run's model, unwrapped.

    Raises:
        UsageError: Naming the key or the file.
    """
    dataset = loader.dataset
    if len(dataset) == 0:
        raise UsageError(_empty(name, config))
    if len(loader) == 0:
        raise UsageError(
            f'{name} gives no batch, as its {len(dataset)} samples are less than batch_size={loader.batch_size} and '
            'drop_last leaves them out: lower batch_size.'
        )
    tested = model.module if isinstance(model, BaseTTAModel) else model
    student = tested.student if isinstance(tested, Distiller) else tested
    try:
        task = model.task if isinstance(model, Distiller) else task_of(student)
    except UsageError:  # nothing is known of such networks
        return
    if not task.takes_images:  # nor of their batches
        return
    _check_labels(dataset, name, task.num_classes(student))
    if tested is not model:  # its samples hold several views
        with generators_kept():
            _first_batch(loader, name, dataset)
        return
    if isinstance(model, Distiller) and model.num_samples is not None and name.startswith('train'):
        if model.num_samples < len(dataset):
            raise UsageError(
                f'model.num_samples is {model.num_samples}, but {name}.dataset has {len(dataset)} samples: set it to '
                'their number.'
            )
    with generators_kept(), torch.no_grad():
        batch = _first_batch(loader, name, dataset)
        inputs, samples = _preprocessed(model, batch, name)
        if name.startswith('train'):
            _check_fields(model, task, samples, name)
    check_networks(model, task, inputs, name)
    if name.startswith('train'):
        if isinstance(model, Distiller):
            check_size(model, inputs, samples, name)
        check_last_batch(model, loader, inputs, samples, name)


def _empty(name: str, config: Any) -> str:
    return (
        f'{name}.dataset is empty: {_told(config)} holds no sample: correct these, or the indices or the filter, which '
        'leave nothing.'
    )


def _told(config: Any) -> str:
    """Where the data are, by the data set's config."""
    if not isinstance(config, dict):
        return type(config).__name__
    parts = [f'{key}={config[key]!r}' for key in TOLD if config.get(key)]
    return f'{config.get("type")}({", ".join(parts)})'


def _is_in_dataset(error: BaseException) -> bool:
    """Whether an error was raised inside a data set."""
    trace = error.__traceback__
    while trace is not None:
        if isinstance(trace.tb_frame.f_locals.get('self'), Dataset):
            return True
        trace = trace.tb_next
    return False


def _check_labels(dataset: Any, name: str, classes: int | None) -> None:
    """Refuse labels that are not among the model's classes: PyTorch's own error names neither classes nor file."""
    if classes is None:
        return
    for inner in {id(found): found for found, _ in innermost(dataset)}.values() or (dataset,):
        names = (getattr(inner, 'metainfo', None) or {}).get('classes') or ()
        if len(names) > classes:
            raise UsageError(
                f'{name}.dataset has {len(names)} classes and the model {classes}: set `num_classes` of its head to '
                f'{len(names)}.'
            )
        _check_folders(inner, names, name)
        if hasattr(inner, 'get_data_info') and 'gt_label' in inner.get_data_info(0):
            _check_each_label(inner, name, classes)


def _check_folders(dataset: Any, names: Sequence[str], name: str) -> None:
    """Warn where names of classes are those of folders in another order: labels follow the alphabet in any case."""
    labels = getattr(dataset, 'folder_to_idx', None) or {}  # of mmpretrain's CustomDataset
    wrong = next((each for i, each in enumerate(names) if labels.get(each, i) != i), None)
    if wrong is not None and set(labels) == set(names):
        print_log(
            f"{name}.dataset: metainfo's `classes` are its folders in another order, but the label of the folder "
            f"'{wrong}' is {labels[wrong]}, by the alphabet: these names, by which teachers may be matched, are wrong: "
            'leave them out, or list the files in an `ann_file`.',
            'current',
            WARNING,
        )


def _check_each_label(dataset: Any, name: str, classes: int) -> None:
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        if 'gt_label' not in info:
            where = info.get('img_path') or f'sample {i}'
            raise UsageError(f'{name}.dataset: {where} has no label, and others have: add its gt_label.')
        labels = np.atleast_1d(info['gt_label'])
        if not labels.size:  # of a network that finds any number of classes
            continue
        if labels.dtype.kind not in 'iu' or not 0 <= labels.min() <= labels.max() < classes:
            where = info.get('img_path') or f'sample {i}'
            raise UsageError(
                f'{name}.dataset: {where} has the label {info["gt_label"]}, but the model knows 0 to {classes - 1}: '
                'fix the annotation, or set `num_classes` of the head.'
            )


def _first_batch(loader: DataLoader, name: str, dataset: Any) -> Any:
    """Read the first samples as the loader does."""
    positions = sorted({*range(min(PROBED, len(dataset))), *starts(dataset)})
    items: Any = []
    if getattr(dataset, '__getitems__', None):
        return loader.collate_fn(dataset.__getitems__(positions))
    for position in positions:
        try:
            items.append(dataset[position])
        except UsageError:
            raise
        except Exception as error:
            kind = NO_TENSOR.search(str(error)) if isinstance(error, TypeError) else None
            if kind:
                raise _not_eight_bits(name, _origin(dataset, position), kind[1]) from error
            raise UsageError(
                f'{name}.dataset: the pipeline fails on {_origin(dataset, position)}: {reason(error)}: fix it, or '
                'the pipeline.'
            ) from error
        if not isinstance(items[-1], dict) or 'inputs' not in items[-1]:
            raise UsageError(
                f"{name}.dataset: its pipeline makes no 'inputs': end it in PackInputs (mmdet: PackDetInputs)."
            )
        kind = getattr(items[-1]['inputs'], 'dtype', torch.uint8)
        if not kind.is_floating_point and kind != torch.uint8:
            raise _not_eight_bits(name, _origin(dataset, position), kind)
    try:
        return loader.collate_fn(items)
    except Exception as error:
        shapes = ' and '.join(str(tuple(item['inputs'].shape)) for item in items)
        raise UsageError(
            f'{name}: images of the sizes {shapes}, of {items[0]["inputs"].dtype}, cannot form a batch: add a Resize '
            'to the pipeline, or set color_type of LoadImageFromFile.'
        ) from error


def _not_eight_bits(name: str, origin: str, kind: Any) -> UsageError:
    return UsageError(
        f'{name}.dataset: {origin} has pixels of {kind}, where 8 bits are usual: '
        "set color_type='color' of LoadImageFromFile, or make them float32 in the pipeline."
    )


def _origin(dataset: Any, position: int) -> str:
    """The file of a sample, or its number."""
    try:
        info = dataset.get_data_info(position)
    except Exception:  # a data set without that method may raise anything
        info = {}
    return info.get('img_path') or f'sample {position}'


def _preprocessed(model: nn.Module, batch: Any, name: str) -> tuple[Tensor, list]:
    mixes = getattr(model.data_preprocessor, 'batch_augments', None) is not None and name.startswith('train')
    try:
        data = model.data_preprocessor(batch, mixes)  # the loss of mixed images may want scores instead of labels
        return data['inputs'], data.get('data_samples')
    except Exception as error:
        shapes = sorted({tuple(image.shape) for image in batch['inputs']})
        raise UsageError(
            f'model.data_preprocessor does not take the images of {name}, of shape {shapes[0]} (channels, height, '
            f'width): {reason(error)}: give it as many means as channels, or set color_type of LoadImageFromFile.'
        ) from error


def _check_fields(model: nn.Module, task: Task, samples: list, name: str) -> None:
    """Refuse samples that lack a field which a loss asks for."""
    learns = not isinstance(model, Distiller) or any(term.loss is None for term in model.terms.values())
    try:
        if learns:  # and not by teachers alone
            task.check_samples(model.student if isinstance(model, Distiller) else model, samples)
    except UsageError as error:
        raise UsageError(f'{name}.dataset: {error}') from None
    for term in model.terms.values() if isinstance(model, Distiller) else ():
        for field in (name for name in term.fields if name not in ('data_samples', *task.noted)):
            task.batch_field(samples, field)
