"""Whether networks, connectors and proxies take the batches of a run, which end: their size, a last one of one."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_world_size
from mmengine.runner import EpochBasedTrainLoop
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from ..datasets.seeded import generators_kept
from ..engine import Distiller
from ..engine.dry_run import Pass, evaluating, on_meta
from ..engine.plan import plan_of
from ..engine.stages import Stage
from ..errors import UsageError
from ..explain import reason
from ..tasks import Task


def check_networks(model: nn.Module, task: Task, inputs: Tensor, name: str) -> None:
    """Refuse images of a shape that a network does not take.

    Args:
        model (nn.Module): The run's model.
        task (Task): Of its networks.
        inputs (Tensor): A preprocessed batch, shape (N, C, H, W).
        name (str): Key of the loader in the config.

    Raises:
        UsageError: Naming the network and the shape.
    """
    distills = isinstance(model, Distiller)
    for member, network in (model.members.networks if distills else {'model': model}).items():
        shape = list(inputs.shape)
        if distills and model.members.specs[member].resize is not None:
            shape[2:] = model.members.specs[member].resize
        try:
            run = model.members.task_for(member) if distills else task
            on_meta(Pass(network, run.forward_trunk), torch.empty(shape, device='meta'))
        except Exception as error:
            if isinstance(error, NotImplementedError) or 'meta' in str(error):
                continue  # a layer reads values: the first step will tell
            raise UsageError(
                f'{member} does not take the images of {name}, of shape {tuple(shape[1:])} (channels, height, '
                f'width): {reason(error)}: resize them in the pipeline, or set color_type of LoadImageFromFile.'
            ) from error


def check_size(model: Distiller, inputs: Tensor, samples: list, name: str) -> None:
    """Refuse images of a size that connectors or proxies, built for another one, do not take.

    What fails at the size that they were made for too has another reason, which the first step will tell.

    Args:
        model (Distiller): The run's.
        inputs (Tensor): A preprocessed batch, shape (N, C, H, W).
        samples (list): Its samples.
        name (str): Key of the loader in the config.

    Raises:
        UsageError: With the size to give.
    """
    made_for, size = tuple(model.members.image_sizes(model.input_size)['student']), tuple(inputs.shape[-2:])
    if size == made_for or model.members.cached:
        return
    error = _failure(model, inputs, samples)
    if error is not None and _failure(model, F.interpolate(inputs, made_for), samples) is None:
        raise UsageError(
            f'model.input_size: the parts of the objective were made for images of {made_for}, and those of {name} '
            f'are {size}: set it to {size} ({reason(error)}).'
        ) from error


def _failure(model: Distiller, inputs: Tensor, samples: list) -> RuntimeError | None:
    """What a training step raises."""
    try:
        with generators_kept(), _begun(model), suppress(UsageError):
            model(inputs, samples, mode='loss')
    except torch.cuda.OutOfMemoryError:
        raise
    except RuntimeError as error:
        return error
    return None


@contextmanager
def _begun(model: nn.Module) -> Iterator[None]:
    """A model that can make a step, whatever its stages and warm-ups, in which nothing is updated.

    With gradients, which adaptive weights need.
    """
    terms, waits = [], False
    if isinstance(model, Distiller):
        terms, waits = [term for term in model.terms.values() if term.factor is None], model.plan is None
    try:
        if waits:
            model.plan = plan_of(model.members, model.objective, Stage('every'))
        for term in terms:
            term.factor = 1.0
        with evaluating(model), torch.enable_grad():
            yield
    finally:
        if waits:
            model.plan = None
        for term in terms:
            term.factor = None


def check_last_batch(model: nn.Module, loader: DataLoader, inputs: Tensor, samples: list, name: str) -> None:
    """Refuse a batch of one sample where a BatchNorm would see a single value of each channel, which has no variance.

    Args:
        model (nn.Module): The run's model.
        loader (DataLoader): Its training data.
        inputs (Tensor): A preprocessed batch, shape (N, C, H, W).
        samples (list): Its samples.
        name (str): Key of the loader in the config.

    Raises:
        UsageError: Naming the layer and the mend.
    """
    size, last = _batches(loader)
    if last != 1:
        return
    found = _single_values(model, inputs, samples)
    if found is not None:
        mend = f'set {name}.drop_last=True' if size > 1 else f'set {name}.batch_size to 2 or more'
        raise UsageError(
            f'{name}: {"the last batch of an epoch" if size > 1 else "each batch"} has one sample, of which {found}, a '
            f'BatchNorm, sees a single value of each channel, and that has no variance: {mend}.'
        )


def check_ends(loop: Any) -> None:
    """Refuse a training by epochs none of which ever ends.

    Args:
        loop (BaseLoop): Of training.

    Raises:
        UsageError: With both ways out.
    """
    loader = loop.dataloader
    sampler = getattr(loader.batch_sampler, 'sampler', loader.sampler)
    if isinstance(sampler, InfiniteSampler) and isinstance(loop, EpochBasedTrainLoop):
        raise UsageError(
            'train_dataloader.sampler: an InfiniteSampler never ends an epoch, and train_cfg counts epochs: use '
            "DefaultSampler, or train_cfg=dict(type='IterBasedTrainLoop', max_iters=…)."
        )


def _batches(loader: DataLoader) -> tuple[int, int]:
    """Numbers of samples of a batch and of the last batch of an epoch; (0, 0) where that is not known."""
    batches: Any = loader.batch_sampler
    sampler, size = getattr(batches, 'sampler', None), getattr(batches, 'batch_size', None)
    if sampler is None or not isinstance(size, int) or size < 1:
        return 0, 0
    endless = isinstance(sampler, InfiniteSampler) or not hasattr(sampler, '__len__')
    if getattr(batches, 'drop_last', False) or endless:
        return size, size
    return size, len(sampler) % size or size


def _single_values(model: nn.Module, inputs: Tensor, samples: list) -> str | None:
    """The name of a BatchNorm that a single sample gives one value of each channel, in a training step."""
    found: list[str] = []
    modes = {layer: layer.training for layer in model.modules()}
    model.train()  # some layers stay in evaluation
    handles = []
    for layer_name, layer in model.named_modules():
        synchronized = isinstance(layer, nn.SyncBatchNorm) and get_world_size() > 1
        if isinstance(layer, _BatchNorm) and layer.training and not synchronized:

            def watch(layer: nn.Module, args: tuple, layer_name: str = layer_name) -> None:
                if args[0].shape[2:].numel() == 1 and args[0].shape[0] <= len(inputs):
                    found.append(layer_name)

            handles.append(layer.register_forward_pre_hook(watch))
    for layer, mode in modes.items():
        layer.training = mode
    try:
        with generators_kept(), _begun(model), suppress(Exception):  # the run will tell
            model(inputs, samples, mode='loss')
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None
