"""What optimizers that tell the parts of an objective apart have in common."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor, nn

from ..errors import UsageError


def summands_of(loss: Tensor, name: str) -> Mapping[str, Tensor]:
    """The losses of a batch by the names under which they are logged, which a distiller's loss carries.

    Args:
        loss (Tensor): Their sum.
        name (str): Of the optimizer wrapper, named in errors.

    Raises:
        UsageError: If it is the loss of another model.
    """
    summands = getattr(loss, 'summands', None)
    if summands is None:
        raise UsageError(f'optim_wrapper: {name} is for a distiller, whose losses have names.')
    return summands


@contextmanager
def unaveraged(model: nn.Module) -> Iterator[None]:
    """Keep a distributed wrapper from averaging the gradients of each pass for itself."""
    if hasattr(model, 'no_sync'):
        with model.no_sync():
            yield
    else:
        yield


def average(*groups: Sequence[Tensor]) -> None:
    """Average gradients over the processes, in place, all in one message."""
    tensors = [tensor for group in groups for tensor in group]
    if get_world_size() == 1 or not tensors:
        return
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    all_reduce(flat, 'mean')
    for tensor, averaged in zip(tensors, flat.split([tensor.numel() for tensor in tensors])):
        tensor.copy_(averaged.view_as(tensor))
