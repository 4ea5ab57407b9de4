"""What losses between two features share: precision, checks of shapes, and pooling to one size."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..compat.torch_names import autocast_off
from ..errors import UsageError


def full_precision(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Make a loss compute in float32 at least, see :func:`in_full_precision`."""

    @functools.wraps(loss)
    def wrapped(*args: Any, **kwargs: Any) -> Tensor:
        return in_full_precision(loss, *args, **kwargs)

    return wrapped


def in_full_precision(loss: Callable[..., Tensor], feature: Any, *args: Any, **kwargs: Any) -> Tensor:
    """Evaluate a loss in float32 at least, even under autocast; in float64 if the feature is in float64.

    Squares, Gram matrices and sums over whole maps overflow in half precision, or lose their small terms.

    Args:
        loss (Callable): Called as ``loss(feature, *args, **kwargs)``.
        feature (Tensor | Sequence): What learns. All tensors get its precision, or float32 if that is higher.
        *args (Any): Further tensors, lists of them, or numbers.
        **kwargs (Any): Likewise.

    Returns:
        Tensor: What the loss returns.
    """
    first = _first(feature)
    dtype, device = torch.promote_types(first.dtype, torch.float32), first.device.type
    feature, args, kwargs = _cast((feature, args, kwargs), dtype)
    with autocast_off(device):
        return loss(feature, *args, **kwargs)


def _first(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else _first(value[0])


def _cast(value: Any, dtype: torch.dtype) -> Any:
    """Cast all floating point tensors in nested lists and dicts."""
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, dict):
        return {key: _cast(item, dtype) for key, item in value.items()}
    return type(value)(_cast(item, dtype) for item in value) if type(value) in (list, tuple) else value


def check_equal(name: str, feature: Tensor, target: Tensor) -> None:
    """Refuse tensors of different shapes.

    Args:
        name (str): The loss, named in the error.
        feature (Tensor): The tensor that learns.
        target (Tensor): What it is compared with.

    Raises:
        UsageError: If the shapes differ.
    """
    if feature.shape != target.shape:
        raise UsageError(f'{name}: {_shapes(feature, target)}, but they must be equal: {_remedy(feature, target)}.')


def check_batch(name: str, feature: Tensor, target: Tensor) -> None:
    """Refuse tensors that do not hold one sample a row, or differ in their number of rows.

    Args:
        name (str): The loss, named in the error.
        feature (Tensor): The tensor that learns, shape (N, ...).
        target (Tensor): What it is compared with, shape (N, ...).

    Raises:
        UsageError: If the batches differ, or a tensor has no dimension but the batch.
    """
    if feature.dim() < 2 or target.dim() < 2 or len(feature) != len(target):
        raise UsageError(f'{name}: {_shapes(feature, target)}, but both must be (N, ...) of the same batch N.')


def matched_maps(name: str, feature: Tensor, target: Tensor, same_channels: bool = False) -> tuple[Tensor, Tensor]:
    """Pool the larger of two maps adaptively to the size of the smaller.

    Args:
        name (str): The loss, named in errors.
        feature (Tensor): The tensor that learns, shape (N, C_s, H_s, W_s).
        target (Tensor): What it is compared with, shape (N, C_t, H_t, W_t).
        same_channels (bool): Whether C_s and C_t must agree. Defaults to False.

    Returns:
        tuple[Tensor, Tensor]: Both, of height min(H_s, H_t) and width min(W_s, W_t).

    Raises:
        UsageError: If they are not maps, or the batches or channels differ.
    """
    if feature.dim() != 4 or target.dim() != 4:
        raise UsageError(
            f'{name}: {_shapes(feature, target)}, but both must be maps (N, C, H, W): tap a layer before the pooling.'
        )
    check_batch(name, feature, target)
    if same_channels and feature.shape[1] != target.shape[1]:
        raise UsageError(
            f'{name}: {_shapes(feature, target)}, but the channels must be equal: {_remedy(feature, target)}.'
        )
    size = tuple(min(pair) for pair in zip(feature.shape[2:], target.shape[2:]))
    return tuple(x if x.shape[2:] == size else F.adaptive_avg_pool2d(x, size) for x in (feature, target))


def unit_rows(rows: Tensor) -> Tensor:
    """Scale rows to length 1 and leave zeros, whose gradient F.normalize would multiply by 10^12, as they are.

    Args:
        rows (Tensor): Shape (N, D).

    Returns:
        Tensor: Shape (N, D).
    """
    length = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return rows / length.where(length > 0, 1)


def _shapes(feature: Tensor, target: Tensor) -> str:
    return f'the feature has shape {tuple(feature.shape)} and the target {tuple(target.shape)}'


def _remedy(feature: Tensor, target: Tensor) -> str:
    """How to bring together shapes that differ."""
    if feature.dim() != target.dim() or len(feature) != len(target):
        return 'tap layers of the same kind, for the same batch'
    if feature.dim() == 4:
        return "give the term a `connector` to the target's channels and size, e.g. a ConvRegressor"
    return 'give the term a `connector` to vectors of one length, e.g. an Embedding, also as `to_connector`'
