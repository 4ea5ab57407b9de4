"""Arrays in the IDX format, in which MNIST and its successors are published."""

import gzip
import math
from pathlib import Path

import numpy as np

from shake_mm.errors import UsageError

UNSIGNED_BYTES = 8
"""The format's code for the only type that pictures and labels come in."""


def read_idx(path: str | Path) -> np.ndarray:
    """Read an IDX file of unsigned bytes: two zeros, the type, the number of dimensions, sizes, values.

    Args:
        path (str | Path): The file; one that ends in ``.gz`` is unpacked.

    Returns:
        np.ndarray: uint8, read-only, of the shape that the file states.

    Raises:
        UsageError: If the file cannot be read, is of another format, or is longer or shorter than it says.
    """
    path = Path(path)
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == '.gz' else path.read_bytes()
    except (OSError, EOFError) as error:
        raise UsageError(
            f'{path} cannot be read ({" ".join(str(error).split())}): prepare the data set again.'
        ) from error
    if len(content) < 4 or content[:3] != bytes((0, 0, UNSIGNED_BYTES)):
        raise UsageError(f'{path} is not an IDX file of bytes: prepare the data set again.')
    start = 4 + 4 * content[3]
    shape = tuple(np.frombuffer(content[4:start][: 4 * (len(content[4:start]) // 4)], '>u4').tolist())
    if len(shape) != content[3] or len(content) - start != math.prod(shape):
        raise UsageError(f'{path} is damaged: it holds another number of values than it says. Prepare it again.')
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def write_idx(path: str | Path, values: np.ndarray) -> None:
    """Write an array of unsigned bytes as an IDX file.

    Args:
        path (str | Path): The file; one that ends in ``.gz`` is packed.
        values (np.ndarray): uint8, of up to 255 dimensions.
    """
    path = Path(path)
    header = bytes((0, 0, UNSIGNED_BYTES, values.ndim)) + np.array(values.shape, '>u4').tobytes()
    content = header + np.ascontiguousarray(values, np.uint8).tobytes()
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == '.gz' else content)
