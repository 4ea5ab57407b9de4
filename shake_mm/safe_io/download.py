"""Files from the network: kept where torch keeps them, whole or not at all, and checked by the hash in their name."""

import contextlib
import fcntl
import hashlib
import http.client
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from typing import IO, Any
from urllib.error import URLError
from urllib.parse import unquote, urlparse
from urllib.request import HTTPRedirectHandler, Request, build_opener

import torch
from mmengine.logging import print_log

from .errors import Refused, damaged

HASH = re.compile(r'-([0-9a-f]{8,64})\.[A-Za-z]+$')
"""torch's convention: ``name-0123abcd.pth`` ends in the first digits of the SHA-256 of its content."""
_DATE = '%Y%m%d'
_TIMEOUT = 60
_BLOCK = 2**20
_LEAST, _PATIENCE = 1024, 600
"""Bytes a second that must come on average, once so many seconds have passed."""


def fetch(address: str, folder: str | None = None, name: str | None = None) -> str:
    """The file of an address, downloaded unless it is there.

    Args:
        address (str): An http or https URL.
        folder (str, optional): Where to keep it. Defaults to torch's, ``hub/checkpoints`` below ``TORCH_HOME``.
        name (str, optional): Its name there. Defaults to that in the address; where that holds no hash, what tells it
            from the files of the same name at other addresses is put before it.

    Returns:
        str: The file.

    Raises:
        Refused: If it cannot be fetched, or its content has not the hash in its name.
    """
    name, digits = _name_for(address, name)
    path = os.path.join(folder or os.path.join(torch.hub.get_dir(), 'checkpoints'), name)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with _one_at_a_time(os.path.join(os.path.dirname(path), f'.{name}.lock')):
            if not os.path.isfile(path):
                print_log(f'Downloading {address} to {path}', logger='current')
                _download(address, path, digits)
            elif digits is not None:
                _check(path, _digest(path), digits)
    except Refused:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if type(error) is URLError else error
        raise Refused(
            f'cannot be fetched ({" ".join(str(reason).split()) or type(error).__name__}): check the network and the '
            'folder TORCH_HOME, or download it and give the file'
        ) from error
    return path


def _name_for(address: str, name: str | None) -> tuple[str, str | None]:
    """The name of the file, and the hash in it."""
    try:
        known = os.path.basename(unquote(urlparse(address).path))
    except ValueError:
        known = ''
    digits = hash_in(name or known)
    if name is None:
        name = known if digits else f'{hashlib.sha256(address.encode()).hexdigest()[:8]}_{known}'
    if known in ('', '.', '..') or os.path.basename(name) != name or name in ('', '.', '..'):
        raise Refused(f'cannot be fetched, as {address} names no file: give the address of a checkpoint')
    return name, digits


def hash_in(name: str) -> str | None:
    """The hash that a file's name ends in; a date is none."""
    found = HASH.search(name)
    if found is None:
        return None
    with contextlib.suppress(ValueError):
        time.strptime(found[1], _DATE)
        return None
    return found[1]


@contextlib.contextmanager
def _one_at_a_time(path: str) -> Iterator[None]:
    """Let the processes of a machine wait for the one that downloads; it is never followed out of its folder."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except PermissionError:  # a shared folder that one only reads
        yield
        return
    try:
        with contextlib.suppress(OSError):  # not every file system has locks: then each downloads for itself
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _download(address: str, path: str, digits: str | None) -> None:
    folder, name = os.path.split(path)
    draft = os.path.join(folder, f'.{name}.{uuid.uuid4().hex}.part')
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        with os.fdopen(handle, 'wb') as file:
            request = Request(address, headers={'User-Agent': 'torch.hub'})
            with build_opener(_Redirects).open(request, timeout=_TIMEOUT) as answer:
                digest = _copy(answer, file)
            file.flush()
            os.fsync(file.fileno())
        if digits is not None:
            _check(address, digest, digits)
        os.replace(draft, path)  # which replaces a link rather than what it points to
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(draft)


class _Redirects(HTTPRedirectHandler):
    """Follows an address to others, but not out of http, nor from an encrypted one to one that is not."""

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request | None:
        """As its parent's.

        Raises:
            OSError: If the address leads elsewhere.
        """
        old, new = (urlparse(address).scheme for address in (req.full_url, newurl))
        if new not in ('http', 'https') or (old == 'https' and new == 'http'):
            raise OSError(f'it leads from {old} to {newurl[:80]}')
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _copy(answer: http.client.HTTPResponse, file: IO[bytes]) -> str:
    """Copy an answer to a file; returns its SHA-256."""
    digest, number, begin = hashlib.sha256(), 0, time.monotonic()
    expected, free = answer.headers.get('Content-Length'), shutil.disk_usage(file.name).free
    # Who does not say how much comes may send without end.
    room = free if expected is not None else free // 2
    while block := answer.read1(_BLOCK):
        number += len(block)
        if max(number, int(expected or 0)) > room:
            raise OSError(f'{expected or "too many"} bytes come, more than there is room for')
        seconds = time.monotonic() - begin
        if seconds > _PATIENCE and number < _LEAST * seconds:
            raise OSError(f'{number} bytes came in {seconds:.0f} seconds')
        file.write(block)
        digest.update(block)
    if expected is not None and int(expected) != number:
        raise OSError(f'{number} of {expected} bytes came')
    return digest.hexdigest()


def _digest(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _check(path: str, digest: str, digits: str) -> None:
    if not digest.startswith(digits):
        raise damaged(f'the SHA-256 of {path} begins with {digest[: len(digits)]}, not with {digits} as its name says')
