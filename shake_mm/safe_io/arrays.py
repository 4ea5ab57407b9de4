"""NumPy's arrays and scalars of plain dtypes, and nothing by which an array of objects could be forged."""

import math
import re
from typing import Any

import numpy as np

from .errors import SHOWN, damaged, unsupported

_PLAIN = re.compile(r'[<>=|]?(b1|[iu][1248]|f[248]|c8|c16|[US]\d{1,6})')


class DType:
    """A dtype while a file is read; never part of what is returned.

    Args:
        name (object): As NumPy pickles it, ``'f4'``.

    Raises:
        Refused: If it is not one of numbers, booleans or text.
    """

    def __init__(self, name: object, *flags: object) -> None:
        if not isinstance(name, str) or not _PLAIN.fullmatch(name) or any(type(f) not in (bool, int) for f in flags):
            raise unsupported(f'holds an array of the dtype {str(name)[:SHOWN]!r}', 'save numbers and text')
        self.dtype = np.dtype(name)

    def build(self, state: Any) -> None:
        """Take the byte order from the rest of NumPy's pickle.

        Args:
            state (tuple): Version, byte order, subdtype, names, fields, size, alignment, flags.
        """
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ('<', '>', '=', '|'):
            raise damaged('a dtype without a byte order')
        if any(part is not None for part in state[2:5]) or any(part not in (None, {}) for part in state[8:]):
            raise unsupported('holds an array of a structured dtype', 'save its fields apart')
        if state[1] in '<>':
            self.dtype = self.dtype.newbyteorder(state[1])


def array(shape: Any, dtype: Any, content: Any, fortran: Any = False) -> np.ndarray:
    """An array from its bytes.

    Args:
        shape (tuple[int, ...]): Its shape.
        dtype (DType): Its dtype.
        content (bytes | str): Its values; text of Python 2 stands for bytes.
        fortran (bool): Whether the first index varies fastest. Defaults to False.

    Raises:
        Refused: If these do not fit together.
    """
    if isinstance(content, list):
        raise unsupported('holds an array of objects', 'save numbers and text')
    content = _bytes(content)
    fits = isinstance(shape, tuple) and len(shape) <= 32 and all(type(side) is int and side >= 0 for side in shape)
    if not fits or not isinstance(dtype, DType) or dtype.dtype.itemsize == 0:
        raise damaged('an array without shape or dtype')
    if math.prod(shape) * dtype.dtype.itemsize != len(content) or math.prod(max(s, 1) for s in shape) >= 2**40:
        raise damaged(f'an array of shape {shape} in {len(content)} bytes')
    flat = np.frombuffer(content, dtype.dtype)
    native = flat.astype(dtype.dtype.newbyteorder('='))  # a copy, which may be written
    return native.reshape(shape, order='F' if fortran else 'C')


def scalar(dtype: Any, content: Any = None) -> np.generic:
    """A NumPy scalar from its bytes.

    Raises:
        Refused: If these are not the bytes of one value.
    """
    return array((1,), dtype, content)[0]


def _bytes(content: Any) -> bytes:
    if isinstance(content, str):
        return content.encode('latin1')
    if not isinstance(content, bytes):
        raise damaged('an array without bytes')
    return content
