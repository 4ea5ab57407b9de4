"""One writer at a time; the lock ends with the process that holds it, and names it until then."""

import errno
import fcntl
import json
import multiprocessing
import os
import signal
import socket
import time

import pytest

from shake_mm.errors import UsageError
from shake_mm.locks import FILE, locked
from tests.support.runs import run_config
from tools.train import main

FORK = multiprocessing.get_context('fork')


def be_there(ready):
    ready.set()
    time.sleep(60)


def be_there_as(file, ready):
    file.write_text(str(os.getpid()))
    be_there(ready)


def held_by(folder):
    """The process that the lock of a folder names."""
    return json.loads((folder / FILE).read_text())['pid']


def hold(folder, ready, child=False):
    with locked(folder, 'a training'):
        if child:  # which is there once it has let go of what it inherited
            FORK.Process(target=be_there_as, args=(folder / 'worker', ready), daemon=True).start()
            time.sleep(60)
        be_there(ready)


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of a folder."""
    processes = []

    def start(**kwargs):
        ready = FORK.Event()
        processes.append(FORK.Process(target=hold, args=(tmp_path / 'work', ready), kwargs=kwargs))
        processes[-1].start()
        assert ready.wait(60)
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.join()


def test_another_process_is_refused_until_this_one_is_dead(holder, tmp_path):
    process = holder()
    who = rf'work is in use by a training \(process {process.pid} on {socket.gethostname()}, since 20.*\): wait for it'
    with pytest.raises(UsageError, match=who), locked(tmp_path / 'work', 'a grid'):
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert (tmp_path / 'work' / FILE).exists()
    with locked(tmp_path / 'work', 'a grid'):
        pass
    assert not (tmp_path / 'work' / FILE).exists()


def test_data_workers_that_outlive_it_hold_nothing(holder, tmp_path):
    process = holder(child=True)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with locked(tmp_path / 'work', 'a training'):
        assert held_by(tmp_path / 'work') == os.getpid()
        os.kill(
            int((tmp_path / 'work' / 'worker').read_text()), signal.SIGKILL
        )  # which fails if it has not outlived it


def test_it_can_be_waited_for(holder, tmp_path):
    process = holder()
    timer = FORK.Process(target=lambda: (time.sleep(0.3), os.kill(process.pid, signal.SIGKILL)))
    timer.start()
    with locked(tmp_path / 'work', 'a grid', wait=60):
        assert held_by(tmp_path / 'work') == os.getpid() and not process.is_alive()
    timer.join()


def test_an_unreadable_file_and_links(holder, tmp_path):
    holder()
    (tmp_path / 'work' / FILE).write_bytes(b'\xff{')
    with pytest.raises(UsageError, match='in use by another process'), locked(tmp_path / 'work', 'a grid'):
        pass
    (tmp_path / 'precious').write_text('mine')
    (tmp_path / 'other').mkdir()
    lock = tmp_path / 'other' / FILE
    for make in (lock.symlink_to, lock.hardlink_to):
        make(tmp_path / 'precious')
        with pytest.raises(UsageError, match=f'{FILE} is .*: remove it, or name'), locked(tmp_path / 'other', 'a grid'):
            pass
        assert (tmp_path / 'precious').read_text() == 'mine' and lock.exists()
        lock.unlink()
    for make in (lock.mkdir, lambda: os.mkfifo(lock), lambda: lock.symlink_to(tmp_path / 'nowhere')):
        make()
        with pytest.raises(UsageError, match=f'{FILE} is no file'), locked(tmp_path / 'other', 'a grid'):
            pass
        lock.rmdir() if lock.is_dir() else lock.unlink()
    assert not (tmp_path / 'nowhere').exists()


def test_file_systems_without_locks(tmp_path, monkeypatch):
    def refuse(*args):
        raise OSError(errno.ENOLCK, 'No locks available')

    monkeypatch.setattr(fcntl, 'flock', refuse)
    entered = []
    with locked(tmp_path / 'work', 'a training'), locked(tmp_path / 'work', 'a training'):
        entered.append(json.loads((tmp_path / 'work' / FILE).read_text() or 'null'))
    assert entered == [None]  # both went in, and neither says that it holds the folder


def test_nothing_is_left_where_nothing_came_of_it(tmp_path):
    with pytest.raises(RuntimeError), locked(tmp_path / 'new', 'a training'):
        raise RuntimeError
    assert not (tmp_path / 'new').exists()


def test_a_second_training_is_refused(holder, make_classifier, tmp_path, capsys):
    cfg = run_config(make_classifier(6, classes=100), tmp_path, samples=16, custom_hooks=[])
    cfg.train_cfg.val_interval = 9
    cfg.dump(tmp_path / 'c.py')
    argv = [str(tmp_path / 'c.py'), '--work-dir', str(tmp_path / 'work')]
    process = holder()
    draft = tmp_path / 'work' / 'epoch_1.pth.part'
    draft.write_bytes(b'half')
    assert main(argv) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith('error')]
    assert f'in use by a training (process {process.pid}' in line
    assert draft.read_bytes() == b'half' and not list((tmp_path / 'work').glob('2*'))
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert main(argv) == 0 == main(argv)
    assert not draft.exists()
