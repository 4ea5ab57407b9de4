"""The file of logits: what it keeps, what it refuses, what is left after a kill, two processes at once."""

import errno
import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.members.cache import LogitsCache, digest, weights_key

KEY = dict(weights='a', preprocessing=dict(mean=[1.5], rgb=False), pictures='b', views=dict(size=(4, 4), flip=True))
SHAPE = (7, 6, 5)


@pytest.fixture
def open_cache(tmp_path):
    return lambda **changes: LogitsCache(
        str(tmp_path / 'cache'), {**KEY, **changes.pop('key', {})}, changes.pop('shape', SHAPE), 'teacher0'
    )


@pytest.fixture
def logits():
    return np.random.default_rng(0).normal(0, 8, SHAPE).astype(np.float16)


def test_what_was_written_is_read_in_any_order_and_by_others(open_cache, logits):
    cache = open_cache()
    assert cache.shape == SHAPE and cache.missing(slice(0, 7)).all()
    images, views = np.array([6, 0, 3, 3]), np.array([5, 0, 1, 4])
    cache.write(images, views, logits[images, views])
    cache.flush()
    there = open_cache()
    got, missing = there.read(np.array([3, 6, 1]), np.array([4, 5, 0]))
    assert missing.tolist() == [False, False, True]
    np.testing.assert_array_equal(got[:2], logits[[3, 6], [4, 5]])
    assert there.missing(slice(3, 5)).sum() == 10


def test_zeros_and_negative_zeros_are_logits(open_cache):
    cache = open_cache()
    zeros = np.array([[0.0, -0.0, 1, 6e-8, -65504]], np.float16)
    cache.write(np.array([2]), np.array([2]), zeros)
    got, missing = cache.read(np.array([2]), np.array([2]))
    assert not missing.any() and got.tobytes() == zeros.tobytes()


def test_a_row_that_a_kill_cut_short_is_missing(open_cache, logits, tmp_path):
    cache = open_cache()
    cache.write(np.arange(7), np.zeros(7, int), logits[:, 0])
    cache.flush()
    path = tmp_path / 'cache' / 'logits.f16'
    content = bytearray(path.read_bytes())
    row = (3 * 6) * (5 + 2) * 2
    content[row + 6 : row + 10] = bytes(4)  # two of five logits never arrived
    path.write_bytes(content)
    assert open_cache().read(np.arange(7), np.zeros(7, int))[1].tolist() == [i == 3 for i in range(7)]


def flip(path, row, word, value=1):
    """Change a word of a row of the file."""
    rows = np.memmap(path, np.uint16, 'r+').reshape(7 * 6, 5 + 2)
    rows[row, word] ^= value
    rows.base.flush()


@pytest.mark.parametrize('word', range(7))
def test_no_changed_word_passes(open_cache, logits, tmp_path, word):
    cache, (images, views) = open_cache(), np.divmod(np.arange(42), 6)
    cache.write(images, views, logits.reshape(42, 5))
    for bit in range(16):
        flip(tmp_path / 'cache' / 'logits.f16', 17, word, 1 << bit)
        assert np.flatnonzero(cache.missing(slice(0, 7))).tolist() == [17]
        assert np.flatnonzero(cache.read(images, views)[1]).tolist() == [17]
        cache.write(images[17:18], views[17:18], logits.reshape(42, 5)[17:18])
    assert not cache.missing(slice(2, 7)).any()


def test_rows_in_another_place_are_damaged(open_cache, logits, tmp_path):
    cache, (images, views) = open_cache(), np.divmod(np.arange(42), 6)
    cache.write(images, views, logits.reshape(42, 5))
    rows = np.memmap(tmp_path / 'cache' / 'logits.f16', np.uint16, 'r+').reshape(42, 7)
    rows[[3, 30]] = rows[[30, 3]]
    assert np.flatnonzero(cache.missing(slice(0, 7))).tolist() == [3, 30]


@pytest.mark.parametrize('name', ['logits.f16', 'key.json'])
@pytest.mark.parametrize('exists', [True, False])
def test_links_are_not_followed(open_cache, tmp_path, name, exists):
    (tmp_path / 'cache').mkdir()
    if exists:
        (tmp_path / 'precious').write_bytes(b'precious')
    (tmp_path / 'cache' / name).symlink_to(tmp_path / 'precious')
    with pytest.raises(UsageError, match=f'{name} is a link, and caches are not read or written through links'):
        open_cache()
    assert (tmp_path / 'precious').exists() == exists
    assert not exists or (tmp_path / 'precious').read_bytes() == b'precious'


def test_a_folder_that_cannot_be_written_to_is_read(open_cache, logits, tmp_path, monkeypatch):
    cache, (images, views) = open_cache(), np.divmod(np.arange(42), 6)
    cache.write(images[1:], views[1:], logits.reshape(42, 5)[1:])
    cache.flush()
    before, original = (tmp_path / 'cache' / 'logits.f16').read_bytes(), os.open

    def read_only(path, flags, *args, **kwargs):
        if flags & (os.O_RDWR | os.O_WRONLY | os.O_CREAT):
            raise OSError(errno.EROFS, 'Read-only file system', path)
        return original(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, 'open', read_only)
    cache = open_cache()
    got, missing = cache.read(images, views)
    assert np.flatnonzero(missing).tolist() == [0]
    np.testing.assert_array_equal(got[1:], logits.reshape(42, 5)[1:])
    cache.write(images[:1], views[:1], logits.reshape(42, 5)[:1])  # has no effect
    cache.flush()
    assert (tmp_path / 'cache' / 'logits.f16').read_bytes() == before


@pytest.mark.parametrize('size', [0, 100, 7 * 6 * 7 * 2 + 2])
def test_a_file_of_another_size(open_cache, tmp_path, size, monkeypatch):
    open_cache()
    os.truncate(tmp_path / 'cache' / 'logits.f16', size)
    if size > 7 * 6 * 7 * 2:
        with pytest.raises(UsageError, match='logits.f16 is cut short or too long: delete the folder'):
            open_cache()
    else:
        assert open_cache().missing(slice(0, 7)).all()


@pytest.mark.parametrize('key', [{}, dict(KEY), [], 'x'])
def test_other_formats_are_refused(open_cache, tmp_path, key):
    """Of earlier versions, whose logits were computed in batches of any size; and what is no key at all."""
    (tmp_path / 'cache').mkdir()
    (tmp_path / 'cache' / 'key.json').write_text(json.dumps(key))
    words = 'by another version of shake_mm, in another format: delete it' if isinstance(key, dict) else 'is damaged'
    with pytest.raises(UsageError, match=words):
        open_cache()


@pytest.mark.parametrize(('change', 'same'), [(0, True), (1e-3, True), (0.1, False), (np.nan, False)])
def test_answers_are_compared_within_the_rounding_of_float16(open_cache, change, same):
    open_cache(key=dict(answers=[[1.0, -2.0]]))
    if same:
        open_cache(key=dict(answers=[[1.0 + change, -2.0]]))
    else:
        with pytest.raises(UsageError, match='the code of its forward pass'):
            open_cache(key=dict(answers=[[1.0 + change, -2.0]]))


@pytest.mark.parametrize(
    ('part', 'value', 'words'),
    [
        ('weights', 'c', 'its weights'),
        ('preprocessing', dict(mean=[1.25], rgb=False), 'its preprocessing'),
        ('pictures', 'c', 'the images'),
        ('views', dict(size=(4, 4), flip=False), 'the crops and flips'),
        ('shape', (7, 6, 4), 'its shape'),
    ],
)
def test_a_stale_cache_is_refused(open_cache, part, value, words):
    open_cache()
    with pytest.raises(UsageError, match=rf'teacher0: the cache in .* \({words} changed\): delete it'):
        open_cache(**({'shape': value} if part == 'shape' else {'key': {part: value}}))
    open_cache()


def test_a_damaged_key_is_refused(open_cache, tmp_path):
    open_cache()
    (tmp_path / 'cache' / 'key.json').write_text('{"weights": ')
    with pytest.raises(UsageError, match='key.json is damaged: delete'):
        open_cache()


@pytest.mark.parametrize('value', [np.inf, -np.inf, np.nan])
def test_what_float16_cannot_hold_is_refused(open_cache, logits, value):
    cache = open_cache()
    logits[2, 0, 1] = value
    with pytest.raises(UsageError, match='not finite in float16'):
        cache.write(np.arange(7), np.zeros(7, int), logits[:, 0])
    assert cache.missing(slice(0, 7)).all()


def test_a_full_disk_is_told_at_once(open_cache, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(os, 'posix_fallocate', full)
    with pytest.raises(UsageError, match='needs 0.00 GB in .*No space left.*make room'):
        open_cache()


def test_two_processes_at_once(tmp_path, logits):
    """Both create it, write all rows in their own order, and end with all of them right."""
    np.save(tmp_path / 'logits.npy', logits)
    program = textwrap.dedent(f"""
        import sys, types
        import numpy as np
        from shake_mm.members.cache import LogitsCache
        logits = np.load({str(tmp_path / 'logits.npy')!r})
        cache = LogitsCache({str(tmp_path / 'cache')!r}, {json.loads(json.dumps(KEY))!r}, {SHAPE!r})
        for i in np.random.default_rng(int(sys.argv[1])).permutation(42):
            cache.write(np.array([i // 6]), np.array([i % 6]), logits[None, i // 6, i % 6])
    """)
    runs = [subprocess.Popen([sys.executable, '-W', 'ignore', '-c', program, str(seed)]) for seed in (0, 1)]
    assert [run.wait(120) for run in runs] == [0, 0]
    cache = LogitsCache(str(tmp_path / 'cache'), KEY, SHAPE)
    got, missing = cache.read(np.repeat(np.arange(7), 6), np.tile(np.arange(6), 7))
    assert not missing.any()
    np.testing.assert_array_equal(got.reshape(SHAPE), logits)


def test_fingerprints_see_weights_types_order_and_layers():
    array, other = np.arange(6, dtype=np.uint8), np.arange(6, dtype=np.uint8)[::-1]
    assert digest([array, 'x']) == digest([torch.arange(6, dtype=torch.uint8), 'x'])
    assert len({digest([array, other]), digest([other, array]), digest([array])}) == 3
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4))
    before = weights_key(net)
    assert weights_key(net) == before
    net[1].running_mean[2] += 1e-6
    changed = weights_key(net)
    net.append(torch.nn.ReLU())
    assert len({before, changed, weights_key(net)}) == 3
