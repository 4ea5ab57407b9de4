"""Networks that are given as objects: what their logits are, and as which members they take part."""

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.model import BaseModel, BaseModule
from torch import Tensor, nn

from ..datasets.seeded import generators_kept
from ..engine.dry_run import evaluating
from ..errors import UsageError
from ..members import MemberSpec, normalization
from ..models import PlainModel

NORMALIZED = 32
"""Images whose values all lie below this are normalized already: those of 8 bits go to 255."""


class Batch:
    """The first batch of a loader, by which what is not told is found out.

    Args:
        loader (DataLoader): The training's.

    Raises:
        UsageError: If it does not give images, (N, C, H, W), and their targets.
    """

    def __init__(self, loader: Any) -> None:
        if loader is None:
            raise UsageError('train: there is no data to train a network on: give a DataLoader.')
        with generators_kept():  # what a run draws is not to depend on this
            batch: Any = next(iter(loader), None)
        pair = isinstance(batch, list | tuple) and len(batch) == 2
        inputs, targets = batch if pair else (None, None)
        if not isinstance(inputs, Tensor) or inputs.dim() != 4:
            told = f'{type(batch).__name__} of {list(batch)}' if isinstance(batch, Mapping) else type(batch).__name__
            raise UsageError(
                f'train: a batch is a {told}, but it must be a pair of images, a tensor (N, C, H, W), and targets: '
                'give the loader a `collate_fn` that makes one.'
            )
        self.inputs, self.targets = inputs, targets

    def classifies(self, output: Tensor) -> bool:
        """Whether an output (N, K) is scores of classes, of which each image has one."""
        targets: Any = self.targets
        whole = isinstance(targets, Tensor) and targets.dim() == 1 and not targets.is_floating_point()
        return whole and output.dim() == 2 and len(targets) == len(output)


def as_member(network: nn.Module, loss: Any = None) -> BaseModel:
    """A network as a model of mmengine, with the weights that it has.

    Args:
        network (nn.Module): Any.
        loss (callable, optional): Of a network that has none of its own, ``loss(output, targets)``.
    """
    for layer in network.modules():
        if isinstance(layer, BaseModule):
            layer.is_init = True  # or a run would initialize it
    return network if isinstance(network, BaseModel) else PlainModel(network, loss)


@torch.no_grad()
def logits_of(model: BaseModel, images: Tensor, name: str) -> tuple[str, Tensor]:
    """The layer that makes what a network answers, and its answer.

    Args:
        model (BaseModel): The network.
        images (Tensor): A batch, shape (N, C, H, W).
        name (str): The member's name, for errors.

    Returns:
        tuple[str, Tensor]: The first layer with weights whose output is the network's, or whatever part gives that.

    Raises:
        UsageError: If the answer is no tensor, or no logits.
    """
    seen: list[tuple[str, nn.Module, Any]] = []
    handles = [
        layer.register_forward_hook(lambda layer, args, output, path=path: seen.append((path, layer, output)))
        for path, layer in model.named_modules()
        if path
    ]
    parameter = next(model.parameters(), None)
    try:
        with evaluating(model):
            answer = model(images if parameter is None else images.to(parameter.device), mode='tensor')
    except (RuntimeError, TypeError, ValueError) as error:
        reason = ' '.join(str(error).split())
        raise UsageError(f'{name}: it does not take images of shape {tuple(images.shape[1:])} ({reason}).') from error
    finally:
        for handle in handles:
            handle.remove()
    if not isinstance(answer, Tensor):
        raise UsageError(
            f'{name}: it answers with a {type(answer).__name__}, not a tensor: wrap it in '
            "shake_mm.models.PlainModel(network, output=…), which takes one of its entries, or 'logits'."
        )
    same = [(path, layer) for path, layer, output in seen if _equal(output, answer)]
    weighted = [path for path, layer in same if layer._parameters]
    if not weighted and _are_probabilities(answer):
        raise UsageError(
            f'{name}: it answers with probabilities, and their logits are compared: leave out its softmax, or name the '
            "layer before it: task=dict(logits='network.…'), for a teacher taps=dict(logits='network.…')."
        )
    return (weighted or [path for path, _ in same])[0], answer


def teacher_entry(index: int, teacher: Any, batch: Batch) -> dict[str, Any]:
    """A teacher of a plain network as an entry of ``teachers``, with the name of its logits.

    Args:
        index (int): Its number.
        teacher (nn.Module | str | dict): A network, or what a config may hold.
        batch (Batch): The first one.
    """
    name = f'teacher{index}'
    entry = dict(teacher) if isinstance(teacher, Mapping) and 'config' in teacher else {'config': teacher}
    if isinstance(entry['config'], nn.Module):
        entry['config'] = as_member(entry['config'])
    if 'logits' not in (entry.get('taps') or {}):
        network = MemberSpec.parse(name, entry).build()
        _check_normalization(name, network, batch.inputs)
        entry['taps'] = {**(entry.get('taps') or {}), 'logits': logits_of(network, batch.inputs, name)[0]}
    return entry


def _check_normalization(name: str, network: nn.Module, images: Tensor) -> None:
    """Refuse a teacher that normalizes images itself, where those of the loader are normalized already."""
    shifts = normalization(getattr(network, 'data_preprocessor', nn.Identity())).shifts
    if shifts and float(images.abs().max()) < NORMALIZED:
        raise UsageError(
            f'{name}: it normalizes images of 0 to 255 itself, and those of `train` lie between '
            f'{float(images.min()):.1f} and {float(images.max()):.1f}: give its config data_preprocessor=dict() if '
            'they are normalized as it was trained, or let the loader give plain ones, and the student a config.'
        )


def _are_probabilities(answer: Tensor) -> bool:
    return answer.dim() == 2 and bool((answer >= 0).all() and torch.allclose(answer.sum(1), torch.ones(1).to(answer)))


def _equal(output: Any, answer: Tensor) -> bool:
    return isinstance(output, Tensor) and output.shape == answer.shape and torch.equal(output, answer)
