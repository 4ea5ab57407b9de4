"""One writer at a time: a lock on a folder that names who holds it, and that ends with its process, however it ends."""

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from logging import DEBUG
from pathlib import Path

from mmengine.logging import print_log

from .errors import UsageError

FILE = '.shake_mm.lock'
_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL)
_HELD: set[int] = set()


@contextmanager
def locked(folder: str | Path, what: str, wait: float = 0.0) -> Iterator[None]:
    """Be the only process that writes into a folder.

    The lock is the operating system's, on a file in the folder, so that it ends with this process; a file that a killed
    process left behind locks nothing. Where a file system knows no such locks there is none, as the log says at debug
    level.

    Args:
        folder (str | Path): Made if it is not there.
        what (str): What this process does there, for others to read: ``'a training'``.
        wait (float): Seconds to wait for another process. Defaults to 0.

    Raises:
        UsageError: If another process holds it; the sentence says which.
    """
    path = Path(folder) / FILE
    new = not path.parent.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = _acquire(path, time.monotonic() + wait)
    if handle is None:
        yield
        return
    _HELD.add(handle)
    try:
        me = dict(what=what, host=socket.gethostname(), pid=os.getpid(), since=time.strftime('%Y-%m-%d %H:%M:%S'))
        os.ftruncate(handle, 0)
        os.write(handle, json.dumps(me).encode())
        yield
    finally:
        if handle in _HELD:  # not in a forked process
            _HELD.discard(handle)
            with suppress(OSError):
                path.unlink()
            os.close(handle)
            with suppress(OSError):  # nothing came of it
                if new:
                    path.parent.rmdir()


def _open(path: Path) -> int:
    """Open the file of a lock, which is written anew and therefore must be nothing but that."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise UsageError(f'{path} is no file, which it must be for a lock: remove it, or name another folder.')
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    if os.fstat(handle).st_nlink > 1:
        os.close(handle)
        raise UsageError(f'{path} is another file too (a hard link): remove it, or name another folder.')
    return handle


def _acquire(path: Path, deadline: float) -> int | None:
    """Open the file and lock it; None where the file system has no locks."""
    while True:
        handle = _open(path)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.fstat(handle).st_ino == path.stat().st_ino:
                return handle
        except OSError as error:
            if error.errno in _UNSUPPORTED:
                print_log(f'{path.parent} is not locked: {error.strerror}', 'current', DEBUG)
                os.close(handle)
                return None
            if time.monotonic() >= deadline:
                os.close(handle)
                raise UsageError(_refusal(path)) from None
            time.sleep(0.05)
        os.close(handle)  # held by another, or its holder has just removed it


def _refusal(path: Path) -> str:
    """Who is in the way, as far as its file says."""
    try:
        holder = json.loads(path.read_text(encoding='utf-8'))
        who = f'{holder["what"]} (process {holder["pid"]} on {holder["host"]}, since {holder["since"]})'
    except (OSError, ValueError, KeyError, TypeError):
        who = 'another process'
    return f'{path.parent} is in use by {who}: wait for it to end, or name another folder.'


def _leave_to_the_parent() -> None:
    """Close the lock's files in a forked process, such as a data worker, which may outlive the one that holds it."""
    for handle in list(_HELD):
        with suppress(OSError):
            os.close(handle)
    _HELD.clear()


os.register_at_fork(after_in_child=_leave_to_the_parent)
