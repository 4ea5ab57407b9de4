"""The parts of a pickle, and of the files of weights around it, put together by hand."""

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable

LEGACY = [pickle.dumps(number, 2) for number in (0x1950A86A20F9469CFC6C, 1001)]
LEGACY.append(pickle.dumps(dict(protocol_version=1001, little_endian=True, type_sizes={}), 2))


class Call:
    """Pickles as the call of a function, or of whatever has this name."""

    def __init__(self, function: Callable, *arguments: object) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple:
        return self._call


def text(value: str) -> bytes:
    """A string in a pickle."""
    return b'X' + struct.pack('<I', len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    """A whole number in a pickle."""
    if -(2**31) <= value < 2**31:
        return b'J' + struct.pack('<i', value)
    content = value.to_bytes(value.bit_length() // 8 + 1, 'little', signed=True)
    return b'\x8a' + bytes([len(content)]) + content


def number_of(value: int) -> bytes:
    """A whole number of any length in a pickle."""
    content = value.to_bytes(value.bit_length() // 8 + 1, 'little', signed=True)
    return b'\x8b' + struct.pack('<i', len(content)) + content


def numbers(*values: int) -> bytes:
    """A tuple of whole numbers in a pickle."""
    return b'(' + b''.join(map(number, values)) + b't'


def name(module: str, attribute: str) -> bytes:
    """A name in a pickle."""
    return f'c{module}\n{attribute}\n'.encode()


def called(module: str, attribute: str, *arguments: bytes) -> bytes:
    """A call in a pickle."""
    return name(module, attribute) + b'(' + b''.join(arguments) + b'tR'


def pickled(*parts: bytes) -> bytes:
    """A pickle of these instructions, the value of which is ``{'state_dict': …}``."""
    return b'\x80\x02}' + text('state_dict') + b''.join(parts) + b's.'


def archive(content: bytes, storages: dict[str, bytes] | None = None, packed: int = zipfile.ZIP_STORED) -> bytes:
    """A file as ``torch.save`` writes it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', packed) as file:
        file.writestr('archive/data.pkl', content)
        file.writestr('archive/byteorder', 'little')
        for key, values in (storages or {}).items():
            file.writestr(f'archive/data/{key}', values)
        file.writestr('archive/version', '3\n')
    return buffer.getvalue()


def storage(length: int = 4, key: str = '0', kind: str = 'FloatStorage') -> bytes:
    """A storage in a pickle."""
    return b'(' + text('storage') + name('torch', kind) + text(key) + text('cpu') + number(length) + b'tQ'


def tensor(offset: int, size: tuple, stride: tuple, of: bytes = b'') -> bytes:
    """A tensor in a pickle."""
    shape = numbers(*size) + numbers(*stride) + b'\x89' + called('collections', 'OrderedDict')
    return called('torch._utils', '_rebuild_tensor_v2', of or storage(), number(offset), shape)


def weights(*parts: bytes, bytes_: bytes = bytes(16)) -> bytes:
    """An archive of a tensor ``{'weight': …}``."""
    return archive(pickled(b'}', text('weight'), *parts, b's'), {'0': bytes_})


def dtype(code: str, state: bytes = b'') -> bytes:
    """A dtype of NumPy in a pickle."""
    plain = b'(' + number(3) + text('<') + b'NNN' + number(-1) + number(-1) + number(0) + b't'
    return called('numpy', 'dtype', text(code), b'\x89\x88') + (state or plain) + b'b'


def array(shape: tuple, of: bytes, content: bytes) -> bytes:
    """An array of NumPy in a pickle."""
    made = called('numpy._core.multiarray', '_reconstruct', name('numpy', 'ndarray'), numbers(0), text('b'))
    return made + b'(' + number(1) + numbers(*shape) + of + b'\x89' + content + b'tb'


def raw(content: bytes) -> bytes:
    """Bytes in a pickle."""
    return b'B' + struct.pack('<I', len(content)) + content


def legacy(values: bytes, keys: list[str], *storages: bytes) -> bytes:
    """A file of torch before 1.6."""
    return b''.join([*LEGACY, values, pickle.dumps(keys, 2), *storages])


def tables(header: object, content: bytes = bytes(16), length: int | None = None) -> bytes:
    """A file of safetensors."""
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack('<Q', len(head) if length is None else length) + head + content


def colliding(count: int) -> list[tuple[int, int]]:
    """Pairs of whole numbers that all have one hash: a dictionary compares each with all others.

    Python's hash of tuples is xxHash without a seed; its last step is solved for the second number.
    """
    first, second, start, size = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x27D4EB2F165667C5, 2**64
    inverse, pairs = pow(second, -1, size), []
    for a in range(1, 20 * count):
        total = (start + a * second) % size
        total = ((total << 31) | (total >> 33)) % size * first % size
        b = (123_456_789 - total) * inverse % size
        if b < 2**61 - 1 and len(pairs) < count:
            pairs.append((a, b))
    assert len(pairs) == count and len(set(map(hash, pairs))) == 1
    return pairs
