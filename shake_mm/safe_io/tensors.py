"""Tensors from the bytes of a file, none larger than what the file holds for it."""

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeGuard

import torch
from torch import Tensor

from .errors import Refused, damaged, unsupported

STORAGES = {
    'DoubleStorage': torch.float64,
    'FloatStorage': torch.float32,
    'HalfStorage': torch.float16,
    'BFloat16Storage': torch.bfloat16,
    'LongStorage': torch.int64,
    'IntStorage': torch.int32,
    'ShortStorage': torch.int16,
    'CharStorage': torch.int8,
    'ByteStorage': torch.uint8,
    'UntypedStorage': torch.uint8,
    'BoolStorage': torch.bool,
    'ComplexFloatStorage': torch.complex64,
    'ComplexDoubleStorage': torch.complex128,
}
"""What torch calls the storages of its dtypes in files."""
_NAMES = (
    'float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 complex128 complex32 uint16 uint32 '
    'uint64 float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu'
)
# Older torches lack some.
DTYPES: dict[str, torch.dtype] = {name: getattr(torch, name) for name in _NAMES.split() if hasattr(torch, name)}
"""The dense dtypes by their names."""
MAX_DIMENSIONS = 32


class Storage(NamedTuple):
    """The memory of tensors.

    Args:
        data (Tensor): Its bytes, of shape (B,) and dtype uint8.
        dtype (torch.dtype): What the file says that they are.
    """

    data: Tensor
    dtype: torch.dtype


def strided(storage: Storage, offset: int, size: Sequence[int], stride: Sequence[int], dtype: torch.dtype) -> Tensor:
    """A view of a storage.

    Args:
        storage (Storage): Where the numbers are.
        offset (int): Place of the first one.
        size (tuple[int, ...]): Shape.
        stride (tuple[int, ...]): Distance of neighbors along each dimension.
        dtype (torch.dtype): Of the tensor.

    Raises:
        Refused: If it reaches out of the storage, or repeats its memory.
    """
    if not isinstance(size, tuple) or not isinstance(stride, tuple) or len(size) != len(stride):
        raise damaged('holds a tensor without a shape')
    if len(size) > MAX_DIMENSIONS or not all(_is_count(number) for number in (offset, *size, *stride)):
        raise damaged('a tensor of an impossible shape')
    held, number = storage.data.numel() // itemsize(dtype), math.prod(size)
    if number == 0:
        if math.prod(max(side, 1) for side in size) >= 2**40:
            raise damaged('a tensor of an impossible shape')
        return torch.empty(size, dtype=dtype)
    if offset + sum((side - 1) * step for side, step in zip(size, stride, strict=True)) >= held:
        raise damaged(f'a tensor of shape {tuple(size)} reaches out of its storage of {held} values')
    if number > held:
        raise unsupported(
            f'holds a tensor of shape {tuple(size)} that repeats its {held} values in memory',
            'save it again as `.contiguous()`',
        )
    return storage.data[: held * itemsize(dtype)].view(dtype).as_strided(size, stride, offset)


def check_storage(numel: object, dtype: torch.dtype, limit: int) -> int:
    """The bytes of a storage that a file claims to hold.

    Raises:
        Refused: If there are not as many.
    """
    if not _is_count(numel) or numel * itemsize(dtype) > limit:
        raise damaged(f'a storage of {numel} values, for which it is too short')
    return numel * itemsize(dtype)


def itemsize(dtype: torch.dtype) -> int:
    """Bytes of a value; torch 2.0 knows them of tensors only."""
    return torch.empty(0, dtype=dtype).element_size()


def as_plain_booleans(data: Tensor, dtype: torch.dtype) -> Tensor:
    """Bytes that are booleans, made 0 or 1 in place: no other is one to a compiler."""
    return data.clamp_(max=1) if dtype is torch.bool else data


def refuse_kind(name: str) -> Refused | None:
    """The refusal of a tensor that is not dense, by what torch calls the function or storage; None for others."""
    mends = {
        'sparse': ('holds a sparse tensor', 'save it again as `.to_dense()`'),
        'qtensor': ('holds a quantized tensor', 'save it again as `.dequantize()`'),
        'QInt': ('holds a quantized tensor', 'save it again as `.dequantize()`'),
        'QUInt': ('holds a quantized tensor', 'save it again as `.dequantize()`'),
        'nested': ('holds a nested tensor', 'save its parts'),
        'meta_tensor': ('holds a tensor without values, of the device meta', 'save it again with values'),
        'wrapper_subclass': ('holds a tensor of a subclass', 'save it again as a plain tensor'),
        'DTensor': ('holds a distributed tensor', 'save it again as `.full_tensor()`'),
    }
    if not name.startswith('torch.'):
        return None
    return next((unsupported(*mend) for part, mend in mends.items() if part in name), None)


def _is_count(number: object) -> TypeGuard[int]:
    return type(number) is int and 0 <= number < 2**62
