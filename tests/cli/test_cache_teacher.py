"""Caches built ahead, by one process and by several, killed and started again."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from shake_mm.cli import cache_teacher
from tests.support.runs import run_config

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'cache_teacher.py'
ROWS = 64 * 18


@pytest.fixture
def config(shake, tmp_path):
    cfg = run_config(dict(shake), tmp_path)
    views = [dict(type='RandomCrop', crop_size=16, padding=1), dict(type='RandomFlip', prob=0.5)]
    cfg.train_dataloader.dataset.pipeline = [*views, dict(type='PackInputs')]
    cfg.dump(tmp_path / 'config.py')
    return str(tmp_path / 'config.py')


@pytest.fixture
def logits(tmp_path):
    """The rows of the only cache in a folder, float16, and how many there are."""

    def logits(folder):
        (path,) = (tmp_path / folder).glob('*/logits.f16')
        rows = np.fromfile(path, np.uint16).reshape(ROWS, 100 + 2)[:, :100]  # and a checksum
        rows = (rows ^ np.uint16(0x7E00)).view(np.float16)
        return rows, int((~np.isnan(rows).any(1)).sum())

    return logits


def test_all_of_it(config, tmp_path, logits, capsys):
    assert (
        cache_teacher.main([config, '--folder', str(tmp_path / 'kept'), '--batch-size', '200', '--device', 'cpu']) == 0
    )
    assert 'teacher0: 64 images in 18 views, 0.00 GB in' in ' '.join(capsys.readouterr().out.split())
    rows, number = logits('kept')
    assert number == ROWS and len(np.unique(rows, axis=0)) > ROWS / 2
    # by any batch size, in any order: the same
    assert (
        cache_teacher.main([config, '--folder', str(tmp_path / 'small'), '--batch-size', '7', '--device', 'cpu']) == 0
    )
    np.testing.assert_array_equal(logits('small')[0], rows)
    # again: nothing to do, nothing changed; another data set is refused
    assert cache_teacher.main([config, '--folder', str(tmp_path / 'kept')]) == 0
    np.testing.assert_array_equal(logits('kept')[0], rows)
    changes = ['--cfg-options', 'train_dataloader.dataset.noise=0.1']
    assert cache_teacher.main([config, '--folder', str(tmp_path / 'kept'), *changes]) == 1
    assert 'the images changed): delete it, or name another folder' in ' '.join(capsys.readouterr().err.split())


def test_killed_and_shared(config, tmp_path, logits):
    """Two processes at once, one of which dies on the way, leave what one whole pass makes."""
    command = [sys.executable, '-W', 'ignore', str(TOOL), config, '--folder', str(tmp_path / 'two'), '--batch-size']
    runs = [subprocess.Popen([*command, size], stdout=subprocess.DEVNULL) for size in ('2', '3')]
    deadline = time.monotonic() + 120
    while not list((tmp_path / 'two').glob('*/logits.f16')) or not logits('two')[1]:
        assert time.monotonic() < deadline and runs[1].poll() in (None, 0)
        time.sleep(0.01)
    runs[0].send_signal(signal.SIGKILL)
    assert [run.wait(120) for run in runs] in ([-9, 0], [0, 0])
    for folder in ('two', 'one'):
        assert cache_teacher.main([config, '--folder', str(tmp_path / folder), '--batch-size', '64']) == 0
    (shared, number), (alone, _) = logits('two'), logits('one')
    assert number == ROWS
    np.testing.assert_allclose(shared.astype(np.float32), alone.astype(np.float32), rtol=2**-9, atol=1e-3)


def test_another_network_does_not_complete_a_cache(config, tmp_path, logits, capsys):
    """What is there is compared with the network before anything is added; a damaged row is computed again."""
    argv = [config, '--folder', str(tmp_path / 'kept'), '--device', 'cpu']
    assert cache_teacher.main(argv) == 0
    (path,) = (tmp_path / 'kept').glob('*/logits.f16')
    before = path.read_bytes()
    rows = np.memmap(path, np.uint16, 'r+').reshape(ROWS, 102)
    rows[777, 33] ^= 1 << 9
    assert cache_teacher.main(argv) == 0 and path.read_bytes() == before
    key = path.with_name('key.json')
    content = json.loads(key.read_text())
    content['answers'][0][0] += 1
    key.write_text(json.dumps(content))
    assert cache_teacher.main(argv) == 1
    assert 'its forward pass makes of the same weights changed): delete it' in ' '.join(capsys.readouterr().err.split())


def test_wrong_config(config, capsys):
    changes = ['--cfg-options', 'model.teachers=None']
    assert cache_teacher.main([config, *changes]) == 1
    assert 'no frozen teacher' in capsys.readouterr().err
