"""Preferences: what our tools do faster or more safely than mmengine, where mmengine has no bug.

Each patches one thing, may be called again, and returns whether it acted.
"""

import json
import logging
from functools import lru_cache, wraps
from importlib import import_module
from types import ModuleType
from typing import Any

import mmengine.config.config
import numpy as np
from mmengine.config import Config
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.logging import HistoryBuffer, MMLogger
from mmengine.registry import HOOKS

from .. import atomic
from .deferred_info import DeferredInfoHook
from .upstream import LOGGER, needs

LINES = 3
"""What the runner tells in more is for the log file."""


def apply_preferences() -> dict[str, bool]:
    """Switch all of them on; :func:`shake_mm.cli.run` does so for every command.

    Returns:
        dict[str, bool]: By name of the patch, whether it acted this time.
    """
    patches = (patch_history_buffer, patch_runtime_info, patch_config_layout, patch_checkpoint_writer, patch_console)
    return {patch.__name__: patch() for patch in patches}


@needs('mmengine.logging:HistoryBuffer.update(self, log_val, count)')
def patch_history_buffer() -> bool:
    """Append to a log history in place.

    mmengine copies the whole history for every value: at the end of a CIFAR run of 240 epochs a millisecond per value
    and step, of which a distillation logs about nine.
    """
    upstream = HistoryBuffer.update
    known = {'_log_history', '_count_history'} <= vars(HistoryBuffer()).keys()
    if hasattr(upstream, '__wrapped__') or not known:
        return False

    @wraps(upstream)
    def update(self: HistoryBuffer, log_val: int | float, count: int = 1) -> None:
        number = len(self._log_history)
        if not isinstance(log_val, int | float) or not isinstance(count, int | float) or number >= self.max_length:
            upstream(self, log_val, count)
            return
        self._log_history = _appended(self._log_history, log_val)
        self._count_history = _appended(self._count_history, count)

    HistoryBuffer.update = update
    return True


def _appended(values: np.ndarray, value: int | float) -> np.ndarray:
    """Like ``np.append``, but into spare room behind the array, which doubles when it is used up."""
    number, room = len(values), values if values.base is None else values.base
    fits = np.can_cast(np.min_scalar_type(value), values.dtype, 'same_kind')
    begins = room.ctypes.data == values.ctypes.data and room.dtype == values.dtype
    if not (fits and begins and room.ndim == 1 and len(room) > number):
        dtype = values.dtype if fits and number else np.result_type(values, np.asarray(value))
        room = np.empty(max(64, 2 * number), dtype)
        room[:number] = values
    room[number] = value
    return room[: number + 1]


@needs('mmengine.hooks:RuntimeInfoHook.after_train_iter(self, runner, batch_idx, data_batch, outputs)')
def patch_runtime_info() -> bool:
    """Read the losses from the device when a run logs, not in every step (open-mmlab/mmengine#1519)."""
    if HOOKS.get('RuntimeInfoHook') is DeferredInfoHook:
        return False
    HOOKS.register_module('RuntimeInfoHook', force=True, module=DeferredInfoHook)
    return True


class _Brief(logging.Filter):
    """Lets pass all but what the runner tells in many lines: packages, config and hooks, which stand in the file."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is shown."""
        told_by_runner = record.module == 'runner' and record.levelno < logging.WARNING
        return not (told_by_runner and record.getMessage().count('\n') > LINES)


@needs('mmengine.logging:MMLogger.__init__')
def patch_console() -> bool:
    """Show the first loss after some twenty lines, and not after two hundred: the rest is for the log file."""
    upstream = MMLogger.__init__
    if hasattr(upstream, '__wrapped__'):
        return False

    @wraps(upstream)
    def init(self: MMLogger, *args: Any, **kwargs: Any) -> None:
        upstream(self, *args, **kwargs)
        if any(isinstance(handler, logging.FileHandler) for handler in self.handlers):
            for handler in self.handlers:
                if not isinstance(handler, logging.FileHandler):
                    handler.addFilter(_Brief())

    MMLogger.__init__ = init
    return True


def home_of_formatter() -> ModuleType | None:
    """Where mmengine looks yapf's ``FormatCode`` up: in its own module, or, as OneDL's at every call, in yapf's."""
    if hasattr(mmengine.config.config, 'FormatCode'):
        return mmengine.config.config
    getter = getattr(Config.pretty_text, 'fget', None)
    imports = getter is not None and 'yapf.yapflib.yapf_api' in getter.__code__.co_names
    return import_module('yapf.yapflib.yapf_api') if imports else None


@needs('mmengine.config:Config.pretty_text')
def patch_config_layout() -> bool:
    """Format the same config once: mmengine runs yapf several times at a run's start and for every checkpoint."""
    home = home_of_formatter()
    upstream = getattr(home, 'FormatCode', None)
    if upstream is None:
        LOGGER.debug('patch_config_layout does nothing, since mmengine does not lay configs out by yapf')
        return False
    if hasattr(upstream, '__wrapped__'):
        return False

    @lru_cache(maxsize=8)
    def laid_out(text: str, options: str) -> Any:
        return upstream(text, **json.loads(options))

    @wraps(upstream)
    def format_code(text: str, **options: Any) -> Any:
        return laid_out(text, json.dumps(options, sort_keys=True))

    vars(home)['FormatCode'] = format_code
    return True


@needs(
    'mmengine.hooks:CheckpointHook.before_train(self, runner)',
    'mmengine.hooks:CheckpointHook._save_checkpoint_with_step(self, runner, step, meta)',
    'mmengine.hooks:CheckpointHook._save_best_checkpoint(self, runner, metrics)',
    'mmengine.fileio:LocalBackend.put(self, obj, filepath)',
)
def patch_checkpoint_writer() -> bool:
    """Write local checkpoints, and the file that names the last one, atomically, and remove outdated ones after that.

    mmengine writes in place and removes the outdated checkpoint, and the best one, before it has the new one, so that a
    kill or a full disk may leave nothing to resume from. Where all have one name (``filename_tmpl='latest.pth'``) it
    removes the new one.
    """
    upstream, upstream_best = CheckpointHook.before_train, CheckpointHook._save_best_checkpoint
    if CheckpointHook._save_checkpoint_with_step is atomic.save_with_step:
        return False

    @wraps(upstream)
    def before_train(self: CheckpointHook, runner: Any) -> None:
        atomic.keep_fewer(self, runner)
        upstream(self, runner)
        atomic.begin(self, runner)

    @wraps(upstream_best)
    def save_best(self: CheckpointHook, runner: Any, metrics: dict) -> None:
        with atomic.removals_last(self):
            upstream_best(self, runner, metrics)

    CheckpointHook.before_train, CheckpointHook._save_checkpoint_with_step = before_train, atomic.save_with_step
    CheckpointHook._save_best_checkpoint = save_best
    LocalBackend.put = lambda self, obj, filepath: atomic.write(filepath, obj)
    return True
