"""What is deployed: pixels in, plain tensors out, and the size of the pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor, nn

from ..errors import UsageError
from ..members import MemberSpec
from ..members.normalization import Normalization, is_known, normalization
from ..tasks import Task
from ..utils import image_channels


class DeployedNetwork(nn.Module):
    """A network behind its normalization, which answers with a tuple of tensors.

    Args:
        network (nn.Module): In evaluation mode.
        task (Task): The network's.
        pixels (Normalization): What its run does to pixels.
    """

    def __init__(self, network: nn.Module, task: Task, pixels: Normalization) -> None:
        super().__init__()
        self.network, self.task, self.rgb = network, task, pixels.rgb
        self.register_buffer('mean', pixels.mean)
        self.register_buffer('std', pixels.std)
        self.names: list[str] = []

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """The answers to pixels (N, C, H, W) of 0 to 255, as the run's pipeline loads them; their names are kept."""
        images = images.flip(1) if self.rgb else images
        answers = self.task.raw_outputs(self.network, (images - self.mean) / self.std)
        self.names = list(answers)
        return tuple(answers.values())


def pixels_of(spec: MemberSpec, network: nn.Module) -> Normalization:
    """What becomes of a picture in a network's run, by its pipeline and then its data preprocessor.

    Raises:
        UsageError: If that is not known.
    """
    preprocessor = getattr(network, 'data_preprocessor', None)
    if preprocessor is not None and not is_known(preprocessor):
        raise UsageError(
            f'deploy: what a {type(preprocessor).__name__} does to images is not known, so that the file could not '
            'take pixels: give the config a `data_preprocessor` of its package that normalizes by mean and std.'
        )
    own = Normalization() if preprocessor is None else normalization(preprocessor)
    return own if spec.pipeline is None else spec.pipeline.then(own)


def picture_shape(cfg: Config, task: Task, network: nn.Module, size: Sequence[int] | None) -> tuple[int, int, int]:
    """Channels, height and width of the pictures.

    Args:
        cfg (Config): The run's config.
        task (Task): The network's.
        network (nn.Module): The network.
        size (sequence of int, optional): Height and width, or one number for both. Defaults to what the test pipeline
            makes, where that is one size, or what the network states.

    Raises:
        UsageError: If there is no size, or the preprocessor would pad it.
    """
    stated = tuple(getattr(task, 'shape', ())) if size is None else ()
    if len(stated) == 3:
        return stated
    found = size or _size_of_test(cfg) or _slid(network) or task.image_size(network)
    if found is None:
        raise UsageError(
            'deploy: the test pipeline makes pictures of several sizes, or leaves them as they are, and a file takes '
            'one: give it by --shape HEIGHT WIDTH.'
        )
    sides = (found, found) if isinstance(found, int) else tuple(found)
    height, width = sides * 2 if len(sides) == 1 else sides
    _check_padding(getattr(network, 'data_preprocessor', None), height, width)
    return image_channels(network), int(height), int(width)


def example(shape: Sequence[int], number: int) -> Tensor:
    """A batch of pictures of random pixels, (number, C, H, W), the same every time."""
    generator = torch.Generator().manual_seed(number)
    return torch.randint(256, (number, *shape), generator=generator).float()


def _check_padding(preprocessor: nn.Module | None, height: int, width: int) -> None:
    """Refuse a size that a data preprocessor would fill up, which changes the answers."""
    divisor = getattr(preprocessor, 'pad_size_divisor', None) or 1
    if height % divisor or width % divisor:
        filled = ' '.join(str(-(-side // divisor) * divisor) for side in (height, width))
        raise UsageError(
            f'deploy: --shape {height} {width} is padded to multiples of {divisor} by the data preprocessor '
            f'(`pad_size_divisor`): give --shape {filled}.'
        )


def _slid(network: nn.Module) -> tuple[int, int] | None:
    """The window (height, width) that a segmentor slides over pictures."""
    test = getattr(network, 'test_cfg', None) or {}
    return tuple(test['crop_size']) if test.get('mode') == 'slide' else None


def _size_of_test(cfg: Config) -> tuple[int, int] | None:
    """Height and width that the pipeline of the test, or of the validation, ends in."""
    loader = cfg.get('test_dataloader') or cfg.get('val_dataloader') or {}
    dataset = loader.get('dataset') or {}
    while isinstance(dataset, Mapping) and isinstance(dataset.get('dataset'), Mapping):
        dataset = dataset['dataset']
    size = None
    for transform in dataset.get('pipeline') or () if isinstance(dataset, Mapping) else ():
        kind = str(transform.get('type')).rpartition('.')[2]
        if kind == 'CenterCrop':
            size = _sides(transform.get('crop_size'))
        elif kind == 'Resize':
            size = None if transform.get('keep_ratio') else _sides(transform.get('scale'))
        elif kind in ('Pad', 'ResizeEdge', 'RandomResize'):
            size = _sides(transform.get('size')) if kind == 'Pad' else None
    return size


def _sides(size: Any) -> tuple[int, int] | None:
    """Height and width of a size as mmcv writes it: one number, or width and height."""
    if isinstance(size, int):
        return size, size
    if isinstance(size, Sequence) and len(size) == 2 and all(isinstance(side, int) for side in size):
        return size[1], size[0]
    return None
