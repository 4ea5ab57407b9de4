"""How images are normalized: by a data preprocessor, and by what a pipeline does before it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from mmengine.model import BaseDataPreprocessor, ImgDataPreprocessor
from torch import Tensor, nn

from ..errors import UsageError
from ..imports import loaded_class

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


class Normalization(NamedTuple):
    """What becomes of a pixel: channels are swapped (between BGR and RGB), then it is ``(x - mean) / std``.

    Args:
        mean (Tensor): Shape (C, 1, 1), or (1, 1, 1) for all channels.
        std (Tensor): Likewise.
        rgb (bool): Whether the channels are swapped.
    """

    mean: Tensor = torch.zeros(1, 1, 1)
    std: Tensor = torch.ones(1, 1, 1)
    rgb: bool = False

    def then(self, other: 'Normalization') -> 'Normalization':
        """This one, and the other one after it."""
        mean, std = (value.flip(0) if other.rgb else value for value in (self.mean, self.std))
        return Normalization(mean + std * other.mean, std * other.std, self.rgb != other.rgb)

    @property
    def is_identity(self) -> bool:
        """Whether images stay as they are."""
        return self.equals(Normalization())

    @property
    def shifts(self) -> bool:
        """Whether a mean is subtracted, and not only the scale changed."""
        return bool((self.mean != 0).any())

    @property
    def rescales(self) -> bool:
        """Whether the values change, and not only their order."""
        return not self.equals(Normalization(rgb=self.rgb))

    def equals(self, other: 'Normalization') -> bool:
        """Whether both make the same of all images."""
        return bool((self.mean == other.mean).all() and (self.std == other.std).all() and self.rgb == other.rgb)


def normalization(preprocessor: nn.Module) -> Normalization:
    """What a data preprocessor does."""
    rgb = any(getattr(preprocessor, name, False) for name in ('to_rgb', '_channel_conversion', 'channel_conversion'))
    if not getattr(preprocessor, '_enable_normalize', False):
        return Normalization(rgb=rgb)
    return Normalization(preprocessor.mean.float().cpu(), preprocessor.std.float().cpu(), rgb)


def is_known(preprocessor: nn.Module) -> bool:
    """Whether :func:`normalization` knows what a data preprocessor does; one of another kind may do anything."""
    known = (
        ImgDataPreprocessor,
        *loaded_class('mmpretrain.models', 'ClsDataPreprocessor'),
        *loaded_class('mmseg.models', 'SegDataPreProcessor'),
    )
    return type(preprocessor) is BaseDataPreprocessor or isinstance(preprocessor, known)


def normalization_before(dataset: Any, where: str) -> Normalization | None:
    """What the pipelines of a data set do before the data preprocessor.

    Args:
        dataset (dict): The data set's config, perhaps of one that wraps others.
        where (str): Its place in a config, named in errors.

    Returns:
        Normalization | None: None where the config holds no pipeline.

    Raises:
        UsageError: If a transform normalizes in a way that is not known, or several pipelines do in different ways.
    """
    if not isinstance(dataset, Mapping):
        return None
    found = [chain for chain in _chains(dataset, where) if chain is not None]
    if any(not chain.equals(found[0]) for chain in found):
        raise UsageError(
            f'{where}: its pipelines normalize images in different ways, which no single network is used to: leave '
            'that to `data_preprocessor`.'
        )
    return found[0] if found else None


def normalization_of_run(config: Mapping[str, Any], where: str = '') -> Normalization | None:
    """As :func:`normalization_before`, of the first data loader that a run's config has."""
    for name in LOADERS:
        loader = config.get(name)
        found = normalization_before(loader.get('dataset'), f'{where}{name}') if isinstance(loader, Mapping) else None
        if found is not None:
            return found
    return None


def _chains(dataset: Mapping[str, Any], where: str) -> list[Normalization | None]:
    """What is done to the images of every data set within one."""
    inner = [dataset['dataset']] if 'dataset' in dataset else list(dataset.get('datasets') or ())
    chains = [chain for child in inner if isinstance(child, Mapping) for chain in _chains(child, where)] or [None]
    pipeline = dataset.get('pipeline')
    if not isinstance(pipeline, Sequence) or isinstance(pipeline, str):
        return chains
    own = Normalization()
    for transform in pipeline:
        if isinstance(transform, Mapping):
            own = own.then(_step(transform, where))
    return [own if chain is None else chain.then(own) for chain in chains]


def _step(transform: Mapping[str, Any], where: str) -> Normalization:
    """What one transform does to the values of pixels."""
    kind = _name(transform)
    if kind in ('Normalize', 'torchvision/Normalize'):
        mean, std = (torch.tensor(transform[key], dtype=torch.float32).view(-1, 1, 1) for key in ('mean', 'std'))
        return Normalization(mean, std, kind == 'Normalize' and bool(transform.get('to_rgb', True)))
    if kind == 'torchvision/ToTensor':
        return Normalization(std=torch.full((1, 1, 1), 255.0))
    if kind in ('NumpyToPIL', 'PILToNumpy'):
        return Normalization(rgb=bool(transform.get('to_rgb') or transform.get('to_bgr')))
    for inner in _within(transform):
        if _name(inner).rpartition('/')[2] in ('Normalize', 'ToTensor', 'ToFloat'):
            raise UsageError(
                f'{where}: {kind} holds {_name(inner)}, and how it normalizes images is not known: leave that to '
                '`data_preprocessor`.'
            )
    return Normalization()


def _name(transform: Mapping[str, Any]) -> str:
    kind = transform.get('type')
    return kind.rpartition('.')[2] if isinstance(kind, str) else getattr(kind, '__name__', '')


def _within(part: Any) -> Iterator[Mapping[str, Any]]:
    """The transforms inside of one."""
    children = part.values() if isinstance(part, Mapping) else part
    for child in children:
        if isinstance(child, Mapping):
            if 'type' in child:
                yield child
            yield from _within(child)
        elif isinstance(child, list | tuple):
            yield from _within(child)
