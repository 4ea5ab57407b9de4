import gzip

import numpy as np
import pytest

from shake_mm.datasets.idx import read_idx, write_idx
from shake_mm.errors import UsageError

CONTENT = bytes((0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6))
"""Two pictures of one row and three columns, as the format is published."""
PACKED = gzip.compress(CONTENT, mtime=0)  # a test's name holds it, and two processes have to agree on the names


@pytest.mark.parametrize('name', ['a', 'a.gz'])
def test_reads_and_writes_the_format(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(gzip.compress(CONTENT) if name.endswith('.gz') else CONTENT)
    values = read_idx(path)
    assert values.dtype == np.uint8 and values.tolist() == [[[1, 2, 3]], [[4, 5, 6]]]
    write_idx(tmp_path / f'copy_{name}', values)
    again = (tmp_path / f'copy_{name}').read_bytes()
    assert (gzip.decompress(again) if name.endswith('.gz') else again) == CONTENT


@pytest.mark.parametrize(
    ('name', 'content', 'words'),
    [
        ('short', CONTENT[:-1], 'is damaged'),
        ('long', CONTENT + b'x', 'is damaged'),
        ('cut', CONTENT[:10], 'is damaged'),
        ('huge', CONTENT[:4] + b'\xff' * 12 + CONTENT[16:], 'is damaged'),
        ('floats', bytes((0, 0, 13)) + CONTENT[3:], 'is not an IDX file of bytes'),
        ('empty', b'', 'is not an IDX file of bytes'),
        ('a.gz', CONTENT, 'cannot be read'),
        ('b.gz', PACKED[:-4], 'cannot be read'),
        ('c.gz', PACKED[:20] + b'\xff' * 8, 'cannot be read'),
    ],
)
def test_another_file_is_refused(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=f'{name} {words}'):
        read_idx(tmp_path / name)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match='nothing cannot be read'):
        read_idx(tmp_path / 'nothing')
