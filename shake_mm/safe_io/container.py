"""The file formats of weights: what a file is, by its content, and how its bytes become values."""

import json
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

import torch
from torch import Tensor

from .errors import SHOWN, damaged, unsupported
from .tensors import DTYPES, MAX_DIMENSIONS, Storage, as_plain_booleans, check_storage, itemsize, strided
from .unpickler import Bounded, unpickle
from .values import Name

LEGACY = 0x1950A86A20F9469CFC6C
"""The number with which torch < 1.6 began its files."""
LEGACY_VERSION = 1001
_SAFETENSORS = {
    'F64': 'float64', 'F32': 'float32', 'F16': 'float16', 'BF16': 'bfloat16', 'I64': 'int64', 'I32': 'int32',
    'I16': 'int16', 'I8': 'int8', 'U8': 'uint8', 'BOOL': 'bool', 'U16': 'uint16', 'U32': 'uint32', 'U64': 'uint64',
    'F8_E4M3': 'float8_e4m3fn', 'F8_E5M2': 'float8_e5m2', 'C64': 'complex64',
}  # fmt: skip
_HEADER, _HEADER_SIZE = b'PK\x03\x04', 30
"""How an entry of a zip archive begins, and for how many bytes beside its name."""
_SAVE_AGAIN = 'load it where you trust it, and save it again by `torch.save`'


class _Place(NamedTuple):
    """Where the bytes of a storage lie in a file."""

    start: int
    size: int


def read_file(file: BinaryIO) -> Any:
    """The values in a file of weights; tensors are on the CPU.

    Args:
        file (BinaryIO): Opened for reading, at its begin. It may be closed afterwards.

    Raises:
        Refused: If it is no zip archive of ``torch.save``, no older file of it and no safetensors file, or holds
            anything but plain data.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    begin = file.read(512)
    file.seek(0)
    if begin[:4] == _HEADER:
        return _read_zip(file, size)
    if begin[257:262] == b'ustar':
        raise unsupported('is a tar archive, of torch before 0.1.10', _SAVE_AGAIN)
    if begin[:1] == b'\x80':
        return _read_legacy(file, size)
    if len(begin) > 8 and begin[8:9] == b'{' and int.from_bytes(begin[:8], 'little') <= size - 8:
        return _read_safetensors(file, size)
    raise damaged('a page of the web' if begin.lstrip()[:1] == b'<' else 'an unknown format')


class _Storages:
    """The storages of a zip archive, each read when it is first asked for.

    Args:
        file (BinaryIO): The file.
        size (int): Its size, which all of them together cannot exceed.
        place (callable): Gives the place of a storage by its key.
    """

    def __init__(self, file: BinaryIO, size: int, place: Callable[[str], _Place]) -> None:
        self._file, self._left, self._place = file, size, place
        self._read: dict[str, Tensor] = {}

    def __call__(self, identity: Any) -> Storage:
        """The storage of a persistent id."""
        key, dtype, numel = parse_identity(identity)
        if key not in self._read:
            place = self._place(key)
            self._left -= place.size
            if self._left < 0:
                raise damaged('storages that overlap')
            self._read[key] = read_bytes(self._file, place)
        data = self._read[key]
        return Storage(as_plain_booleans(data, dtype)[: check_storage(numel, dtype, data.numel())], dtype)


def parse_identity(identity: Any) -> tuple[str, torch.dtype, Any]:
    """Key, dtype and number of values of a persistent id."""
    if not isinstance(identity, tuple) or len(identity) < 5 or identity[0] != 'storage':
        raise damaged('a storage without a name')
    _, kind, key, _, numel, *view = identity
    if not isinstance(kind, Name) or kind.dtype is None or type(key) is not str:
        raise damaged('a storage without a name')
    if view not in ([], [None]):
        raise unsupported('holds views of storages, of torch before 0.4', _SAVE_AGAIN)
    return key, kind.dtype, numel


def read_bytes(file: BinaryIO, place: _Place) -> Tensor:
    """Bytes of a file as a tensor of shape (B,), read into its own memory."""
    data = torch.empty(place.size, dtype=torch.uint8)
    fill_bytes(file, place.start, data)
    return data


def fill_bytes(file: BinaryIO, start: int, data: Tensor) -> None:
    """Read bytes of a file into a tensor of shape (B,)."""
    if data.numel():
        file.seek(start)
        # `BinaryIO` lacks the method that every binary file has.
        if file.readinto(memoryview(data.numpy())) != data.numel():  # type: ignore[attr-defined]
            raise damaged('it ends early')


# ------------------------------------------------------------------------------------------------ zip, of torch >= 1.6
def _read_zip(file: BinaryIO, size: int) -> Any:
    archive = zipfile.ZipFile(file)
    entries = {entry.filename: entry for entry in archive.infolist()}
    roots = [name.removesuffix('data.pkl') for name in entries if name.endswith('/data.pkl')]
    if len(roots) != 1:
        raise damaged('an archive of something else')
    root = roots[0]
    if any(name.startswith(f'{root}code/') or name == f'{root}constants.pkl' for name in entries):
        raise unsupported('is a program (TorchScript)', 'save the `state_dict` of its model by `torch.save`')
    if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in entries.values()):
        raise unsupported('has compressed parts', _SAVE_AGAIN)
    order = entries.get(f'{root}byteorder')
    if order is not None and _part(file, order, size) != b'little':
        raise unsupported('holds numbers of a big-endian machine', 'save it again on a little-endian one')

    def place(key: str) -> _Place:
        entry = entries.get(f'{root}data/{key}')
        if entry is None:
            raise damaged(f'its storage {key[:SHOWN]!r} is missing')
        return _place(file, entry, size)

    return unpickle(_part(file, entries[f'{root}data.pkl'], size), _Storages(file, size, place))


def _place(file: BinaryIO, entry: zipfile.ZipInfo, size: int) -> _Place:
    """Where the content of an entry lies: behind a header of its own, whose length is told there alone."""
    file.seek(entry.header_offset)
    header = file.read(_HEADER_SIZE)
    if len(header) != _HEADER_SIZE or header[:4] != _HEADER:
        raise damaged('a part of the archive is missing')
    name, extra = struct.unpack('<HH', header[26:30])
    start = entry.header_offset + _HEADER_SIZE + name + extra
    if start + entry.file_size > size:
        raise damaged('it ends early')
    return _Place(start, entry.file_size)


def _part(file: BinaryIO, entry: zipfile.ZipInfo, size: int) -> bytes:
    place = _place(file, entry, size)
    content = read_bytes(file, place).numpy().tobytes()
    # That of weights would take as long as to read them; torch does not look at it either.
    if zlib.crc32(content) != entry.CRC and entry.CRC:
        raise damaged('a checksum is wrong')
    return content


# ------------------------------------------------------------------------------------------------ torch < 1.6
def _read_legacy(file: BinaryIO, size: int) -> Any:
    """Three pickles about the file, that of the values, the keys of the storages, and these one after another."""
    source = Bounded(file, size)
    first = unpickle(source)
    if first != LEGACY:
        raise damaged('a pickle that torch did not write')
    system = unpickle(source) == LEGACY_VERSION and unpickle(source)
    if not isinstance(system, dict) or system.get('little_endian') is not True:
        raise unsupported('is of another machine or version', _SAVE_AGAIN)
    left, claimed = size, {}

    def claim(identity: Any) -> Storage:
        nonlocal left
        key, dtype, numel = parse_identity(identity)
        if key not in claimed:
            left -= (number := check_storage(numel, dtype, left))
            claimed[key] = Storage(torch.empty(number, dtype=torch.uint8), dtype)
        data = claimed[key].data
        return Storage(data[: check_storage(numel, dtype, data.numel())], dtype)

    values = unpickle(source, claim)  # their storages are filled from behind them
    keys = unpickle(source)
    if type(keys) is not list or set(keys) != set(claimed) or len(keys) != len(claimed):
        raise damaged('a storage is missing')
    for key in keys:
        data, dtype = claimed[key]
        if int.from_bytes(source.read(8), 'little') * itemsize(dtype) != data.numel():
            raise damaged('its storages are of another length')
        fill_bytes(file, file.tell(), data)
        as_plain_booleans(data, dtype)
    return values


# ------------------------------------------------------------------------------------------------ safetensors
def _read_safetensors(file: BinaryIO, size: int) -> dict[str, Tensor]:
    """A length, a table in JSON, and the bytes of the tensors."""
    length = int.from_bytes(file.read(8), 'little')
    table, begin = json.loads(file.read(length)), 8 + length
    state = {}
    left = size - begin
    for name, about in table.items():
        if name == '__metadata__':
            continue
        kind = DTYPES.get(_SAFETENSORS.get(about['dtype'], ''))
        if kind is None:
            raise unsupported(
                f'holds a tensor of the dtype {str(about["dtype"])[:SHOWN]!r}', 'save it again in another'
            )
        start, end = about['data_offsets']
        shape = tuple(about['shape'])
        if len(shape) > MAX_DIMENSIONS:
            raise damaged(f'the tensor {name[:SHOWN]!r} has {len(shape)} dimensions')
        number = check_storage(math.prod(shape), kind, size - begin)
        if (
            type(start) is not int
            or type(end) is not int
            or not 0 <= start <= end <= size - begin
            or end - start != number
        ):
            raise damaged(f'the tensor {name[:SHOWN]!r} reaches out of it')
        left -= number
        if left < 0:
            raise damaged('tensors that overlap')
        data = as_plain_booleans(read_bytes(file, _Place(begin + start, number)), kind)
        state[name] = strided(Storage(data, kind), 0, shape, _contiguous(shape), kind)
    return state


def _contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(math.prod(shape[place + 1 :]) for place in range(len(shape)))
