"""Atomic writes: files and checkpoints are complete or absent, whenever the process or the machine stops."""

import os
import os.path as osp
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook

DRAFT = '.part'


CHECKPOINT_LOST = 'it was not written and earlier checkpoints are whole: fix that, then --resume'


def write(path: str | Path, content: bytes | memoryview, otherwise: str = CHECKPOINT_LOST) -> None:
    """Replace a file by a new one in a single step.

    The content is written beside it, as ``<path>.part``, and reaches the disk before the file takes its name. Neither
    is written through a link.

    Args:
        path (str | Path): The file.
        content (bytes): What it will hold.
        otherwise (str): What an error says about the file. Defaults to the sentence for checkpoints.

    Raises:
        OSError: If that fails, as on a full disk. What stood at the path still does, and no draft is left.
    """
    folder = osp.dirname(osp.abspath(path))
    os.makedirs(folder, exist_ok=True)
    draft = f'{path}{DRAFT}'
    try:
        # The draft of a killed process, or a link that would lead the new one elsewhere.
        with suppress(FileNotFoundError):
            os.remove(draft)
        with open(draft, 'wb', opener=_new_file) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError as error:
        with suppress(OSError):
            os.remove(draft)
        raise OSError(error.errno, f'{error.strerror}; {otherwise}', str(path)) from error
    _sync_folder(folder)


def _new_file(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_EXCL | os.O_NOFOLLOW, 0o666)


def _sync_folder(folder: str) -> None:
    """Flush the new name to the disk too; not every file system supports that."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def checkpoint_names(hook: Mapping[str, Any]) -> str:
    """Regular expression of the names that a run gives to its checkpoints.

    Args:
        hook (Mapping): Config of its ``CheckpointHook``, of which ``filename_tmpl`` and ``by_epoch`` count.
    """
    template = hook.get('filename_tmpl') or ('epoch_{}.pth' if hook.get('by_epoch', True) else 'iter_{}.pth')
    name = '.*'.join(re.escape(part) for part in str(template).split('{}'))
    return f'(best_.+_)?({name})|preempted\\.pth'


def remove_drafts(folder: str, names: str) -> None:
    """Remove the half-written files of a killed process, whose names are ours: a browser's ``.part`` stays."""
    pattern = re.compile(f'({names}|last_checkpoint){re.escape(DRAFT)}')
    for name in os.listdir(folder) if osp.isdir(folder) else ():
        if pattern.fullmatch(name):
            with suppress(OSError):
                os.remove(osp.join(folder, name))


def save_with_step(hook: CheckpointHook, runner: Any, step: int, meta: dict) -> None:
    """Replace ``CheckpointHook._save_checkpoint_with_step``, in an order that always leaves one to resume from.

    mmengine removes the outdated checkpoint first, and writes ``last_checkpoint`` in place: for a moment there may be
    no checkpoint, or no name of one.

    Args:
        hook (CheckpointHook): The hook that saves.
        runner (Runner): Its runner.
        step (int): Number of the checkpoint: its epoch or iteration.
        meta (dict): Epoch and iteration.
    """
    outdated = hook.__dict__.pop('outdated', [])
    if hook.max_keep_ckpts > 0 and (not hook.keep_ckpt_ids or hook.keep_ckpt_ids[-1] != step):
        if len(hook.keep_ckpt_ids) == hook.max_keep_ckpts:
            outdated.append(hook.keep_ckpt_ids.popleft())
        hook.keep_ckpt_ids.append(step)
        runner.message_hub.update_info('keep_ckpt_ids', list(hook.keep_ckpt_ids))
    name = hook.filename_tmpl.format(step)
    hook.last_ckpt = hook.file_backend.join_path(hook.out_dir, name)
    runner.message_hub.update_info('last_ckpt', hook.last_ckpt)
    runner.save_checkpoint(
        hook.out_dir,
        name,
        hook.file_client_args,
        save_optimizer=hook.save_optimizer,
        save_param_scheduler=hook.save_param_scheduler,
        meta=meta,
        by_epoch=hook.by_epoch,
        backend_args=hook.backend_args,
        **hook.args,
    )
    if not is_main_process():
        return
    write(osp.join(runner.work_dir, 'last_checkpoint'), hook.last_ckpt.encode())
    for old in outdated:
        _remove(hook, hook.file_backend.join_path(hook.out_dir, hook.filename_tmpl.format(old)))


def _remove(hook: CheckpointHook, path: str) -> None:
    """Remove an outdated checkpoint; those of deepspeed are folders, and one that a name still stands for stays."""
    steps = hook.keep_ckpt_ids if hook.max_keep_ckpts > 0 else ()
    kept = [hook.file_backend.join_path(hook.out_dir, hook.filename_tmpl.format(step)) for step in steps]
    best = [getattr(hook, 'best_ckpt_path', None), *getattr(hook, 'best_ckpt_path_dict', {}).values()]
    if path in (*kept, *best, hook.last_ckpt):
        return
    if hook.file_backend.isfile(path):
        hook.file_backend.remove(path)
    elif hook.file_backend.isdir(path):
        hook.file_backend.rmtree(path)


class _RemovesLater:
    """A file backend that notes what it should remove; it denies files outside a folder, which are another run's."""

    def __init__(self, backend: Any, folder: str) -> None:
        self.backend, self.folder = backend, folder
        self.noted: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def isfile(self, path: str) -> bool:
        return osp.dirname(path) == self.folder.rstrip('/') and self.backend.isfile(path)

    def isdir(self, path: str) -> bool:
        return osp.dirname(path) == self.folder.rstrip('/') and self.backend.isdir(path)

    def remove(self, path: str) -> None:
        self.noted.append(path)

    rmtree = remove


@contextmanager
def removals_last(hook: CheckpointHook) -> Iterator[None]:
    """Let what a hook removes go when all that it writes is whole, and only from its own folder.

    mmengine removes the best checkpoint before it has the better one. The path of the best one comes from the
    checkpoint that a run goes on from, which may be another run's in another folder.
    """
    if not hook.save_best:
        yield
        return
    backend = hook.file_backend
    hook.file_backend = later = _RemovesLater(backend, str(hook.out_dir))
    try:
        yield
    finally:
        hook.file_backend = backend
    for path in later.noted:
        _remove(hook, path)


def keep_fewer(hook: CheckpointHook, runner: Any) -> None:
    """Before a run goes on that keeps fewer checkpoints: the others go when the next one is whole, not before."""
    steps = runner.message_hub.runtime_info.get('keep_ckpt_ids')
    if hook.max_keep_ckpts > 0 and steps and len(steps) > hook.max_keep_ckpts:
        hook.outdated = list(steps[: -hook.max_keep_ckpts])
        runner.message_hub.update_info('keep_ckpt_ids', list(steps[-hook.max_keep_ckpts :]))


def begin(hook: CheckpointHook, runner: Any) -> None:
    """Remove drafts from the folders of checkpoints before the training."""
    if is_main_process():
        for folder in {runner.work_dir, hook.out_dir}:
            if isinstance(hook.file_backend, LocalBackend):
                remove_drafts(folder, checkpoint_names(dict(filename_tmpl=hook.filename_tmpl)))
