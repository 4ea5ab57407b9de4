"""Checkpoints are whole or not there; which one is the last is never in doubt."""

import builtins
import errno
import io
import os

import pytest
import torch
from mmengine.fileio import LocalBackend

from shake_mm import atomic
from tools.train import main as train_main

from .support.runs import run_config, train


class FullDisk(io.FileIO):
    """A file that takes no more than half of what it is given."""

    def write(self, content):
        super().write(memoryview(content)[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def fill(monkeypatch):
    """Fill the disk: from now on, or for files whose draft has this name."""

    def fill(name=''):
        def full(path, mode='r', *args, **kwargs):
            if 'w' in mode and str(path).endswith(f'{name}.part'):
                return FullDisk(path, 'w')
            return builtins.open(path, mode, *args, **kwargs)

        monkeypatch.setattr(atomic, 'open', full, raising=False)

    return fill


def test_a_file_is_replaced_in_a_single_step(tmp_path, monkeypatch):
    """The new content is complete, and on the disk, before it has the name."""
    path, seen = tmp_path / 'new' / 'a.pth', []
    for name in ('fsync', 'replace'):
        original = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, name=name, run=original: (seen.append(name), run(*a))[1])
    atomic.write(path, b'first')
    assert path.read_bytes() == b'first' and seen == ['fsync', 'replace', 'fsync']
    LocalBackend().put(b'second', str(path))
    assert path.read_bytes() == b'second' and [p.name for p in path.parent.iterdir()] == ['a.pth']


def test_a_full_disk_leaves_what_was_there(tmp_path, fill):
    path = tmp_path / 'a.pth'
    atomic.write(path, b'first')
    fill()
    with pytest.raises(OSError, match='No space left.*earlier checkpoints are whole') as error:
        atomic.write(path, b'second')
    assert error.value.errno == errno.ENOSPC and error.value.filename == str(path)
    assert path.read_bytes() == b'first' and [p.name for p in tmp_path.iterdir()] == ['a.pth']


@pytest.mark.parametrize('name', ['epoch_2.pth', 'last_checkpoint'])
def test_a_disk_that_fills_while_training(shake, tmp_path, fill, capsys, name):
    """One sentence, status 1; the checkpoint before is the last one, although only one is to be kept."""
    run = tmp_path / 'run'
    checkpoint = dict(type='CheckpointHook', interval=1, max_keep_ckpts=1)
    run_config(shake, run, epochs=2, samples=16, default_hooks=dict(checkpoint=checkpoint)).dump(tmp_path / 'c.py')
    assert train_main([str(tmp_path / 'c.py'), '--cfg-options', 'train_cfg.max_epochs=1']) == 0
    fill(name)
    assert train_main([str(tmp_path / 'c.py'), '--resume']) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith('error')]
    assert name in line and 'No space left' in line
    assert (run / 'last_checkpoint').read_text() == str(run / 'epoch_1.pth')
    assert torch.load(run / 'epoch_1.pth', weights_only=True)['meta']['epoch'] == 1


def test_the_outdated_one_goes_last(shake, tmp_path, monkeypatch):
    """While a checkpoint is written, the one before is there under its name; drafts of a killed run are removed."""
    (tmp_path / 'epoch_9.pth.part').write_bytes(b'half')
    seen, original = [], atomic.write

    def watched(path, content):
        seen.append(sorted(p.name for p in tmp_path.glob('epoch*')))
        original(path, content)

    monkeypatch.setattr(atomic, 'write', watched)
    checkpoint = dict(type='CheckpointHook', interval=1, max_keep_ckpts=1)
    train(shake, tmp_path, epochs=3, samples=16, default_hooks=dict(checkpoint=checkpoint))
    one, two, three = (f'epoch_{i}.pth' for i in (1, 2, 3))
    assert seen == [[], [one], [one], [one, two], [two], [two, three]]
    assert [p.name for p in tmp_path.glob('epoch*')] == [three]
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / three)
