"""Checkpoints are whole or not there; which one is the last is never in doubt."""

import builtins
import errno
import io
import os

import pytest
import torch
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook

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


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """The checkpoints that are there whenever a file begins to be written."""
    seen, original = [], atomic.write

    def write(path, content, *args):
        seen.append((os.path.basename(path), sorted(p.name for p in tmp_path.glob('*.pth') if p.name != 'teacher.pth')))
        original(path, content, *args)

    monkeypatch.setattr(atomic, 'write', write)
    return seen


def test_checkpoints_of_one_name(shake, tmp_path, watched):
    """Each takes the place of the one before it; fewer to keep after a resume, still one."""
    hook = dict(type='CheckpointHook', interval=1, max_keep_ckpts=2, filename_tmpl='latest.pth', save_best='auto')
    train(shake, tmp_path, epochs=3, samples=16, default_hooks=dict(checkpoint=hook))
    assert torch.load(tmp_path / 'latest.pth', weights_only=True)['meta']['epoch'] == 3
    for changes in (dict(max_keep_ckpts=1), dict(max_keep_ckpts=1)):
        changed = dict(checkpoint={**hook, **changes})
        epochs = 1 + torch.load(tmp_path / 'latest.pth', weights_only=True)['meta']['epoch']
        train(shake, tmp_path, epochs=epochs, samples=16, default_hooks=changed, resume=True)
    assert torch.load(tmp_path / 'latest.pth', weights_only=True)['meta']['epoch'] == 5
    assert torch.load(tmp_path / 'best_accuracy_top1_latest.pth', weights_only=True)['state_dict']
    first = [name for name, _ in watched].index('latest.pth')
    assert all('latest.pth' in there for _, there in watched[first + 1 :])


@pytest.fixture
def always_better(monkeypatch):
    monkeypatch.setattr(CheckpointHook, 'rule_map', dict.fromkeys(('greater', 'less'), lambda new, old: True))


def test_the_best_one_goes_last(shake, tmp_path, watched, always_better):
    hook = dict(type='CheckpointHook', interval=1, max_keep_ckpts=1, save_best='accuracy/top1')
    train(shake, tmp_path, epochs=3, samples=16, default_hooks=dict(checkpoint=hook))
    begins = {name: there for name, there in watched if name.startswith('best')}
    best = [f'best_accuracy_top1_epoch_{i}.pth' for i in (1, 2, 3)]
    assert list(begins) == best
    assert best[0] in begins[best[1]] and best[1] in begins[best[2]]
    last = [there for name, there in watched if name == 'epoch_3.pth'][-1]
    assert last == [best[1], best[2], 'epoch_3.pth']  # the old best is there until a checkpoint names the new one
    assert sorted(p.name for p in tmp_path.glob('*_*.pth')) == [best[2], 'epoch_3.pth']
    assert torch.load(tmp_path / 'epoch_3.pth', weights_only=True)['message_hub']['runtime_info']['best_ckpt'] == str(
        tmp_path / best[2]
    )


def test_the_best_one_of_another_folder_stays(shake, tmp_path, always_better):
    hook = dict(type='CheckpointHook', interval=1, save_best='accuracy/top1')
    one, two = tmp_path / 'one', tmp_path / 'two'
    train(shake, one, samples=16, default_hooks=dict(checkpoint=hook))
    changes = dict(resume=True, load_from=str(one / 'epoch_1.pth'))
    train(shake, two, epochs=2, samples=16, default_hooks=dict(checkpoint=hook), **changes)
    assert (one / 'best_accuracy_top1_epoch_1.pth').is_file() and (two / 'best_accuracy_top1_epoch_2.pth').is_file()


def test_fewer_to_keep_after_a_resume(shake, tmp_path, watched):
    hook = dict(type='CheckpointHook', interval=1, max_keep_ckpts=3)
    train(shake, tmp_path, epochs=3, samples=16, default_hooks=dict(checkpoint=hook))
    hook['max_keep_ckpts'] = 1
    train(shake, tmp_path, epochs=4, samples=16, default_hooks=dict(checkpoint=hook), resume=True)
    one, two, three, four = (f'epoch_{i}.pth' for i in (1, 2, 3, 4))
    assert watched[-2:] == [(four, [one, two, three]), ('last_checkpoint', [one, two, three, four])]
    assert [p.name for p in tmp_path.glob('epoch*')] == [four]


def test_only_drafts_of_our_names_are_removed(shake, tmp_path):
    theirs = ['paper.pth.part', 'data.zip.part', 'epoch_1.pth.part.txt']
    for name in ['epoch_9.pth.part', 'last_checkpoint.part', 'best_a_epoch_1.pth.part', *theirs]:
        (tmp_path / name).write_bytes(b'half')
    train(shake, tmp_path, samples=16)
    assert sorted(p.name for p in tmp_path.glob('*.part*')) == sorted(theirs)


def test_drafts_and_files_that_are_links_are_not_written_through(tmp_path):
    precious = tmp_path / 'precious'
    precious.write_bytes(b'precious')
    for name in ('a.pth', 'a.pth.part'):
        (tmp_path / name).symlink_to(precious)
    atomic.write(tmp_path / 'a.pth', b'new')
    assert precious.read_bytes() == b'precious' and (tmp_path / 'a.pth').read_bytes() == b'new'
    assert not (tmp_path / 'a.pth').is_symlink() and not list(tmp_path.glob('*.part'))


def test_the_outdated_one_goes_last(shake, tmp_path, monkeypatch):
    """While a checkpoint is written, the one before is there under its name; drafts of a killed run are removed."""
    (tmp_path / 'epoch_9.pth.part').write_bytes(b'half')
    seen, original = [], atomic.write

    def watched(path, content, *args):
        seen.append(sorted(p.name for p in tmp_path.glob('epoch*')))
        original(path, content)

    monkeypatch.setattr(atomic, 'write', watched)
    checkpoint = dict(type='CheckpointHook', interval=1, max_keep_ckpts=1)
    train(shake, tmp_path, epochs=3, samples=16, default_hooks=dict(checkpoint=checkpoint))
    one, two, three = (f'epoch_{i}.pth' for i in (1, 2, 3))
    assert seen == [[], [one], [one], [one, two], [two], [two, three]]
    assert [p.name for p in tmp_path.glob('epoch*')] == [three]
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / three)
