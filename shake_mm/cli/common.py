"""What commands share: common options, config loading, and errors told in one sentence."""

import argparse
import inspect
import os
import os.path as osp
import re
import signal
import sys
from collections.abc import Callable
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import get_dist_info
from mmengine.runner import Runner

from ..checks import check_launch, check_packages
from ..compat.preferences import apply_preferences
from ..compat.process_group import leave_process_group
from ..errors import UsageError
from ..explain import explain, explain_build, one_line
from ..safe_io import guard_loaders, trust_pickles
from ..utils import config_file, kill_data_workers
from ..validation import nearest

DOUBLE = re.compile(r"Duplicate keys?: \{'(\w+)'")
READ = (
    *('auto_scale_lr', 'custom_imports', 'data_preprocessor', 'load_from_key', 'model_wrapper_cfg', 'runner_type'),
    *('trust_pickles', 'tta_model', 'tta_pipeline'),
)
"""Keys of a config that others than the Runner read."""


def load_config(path: str, options: dict | None = None) -> Config:
    """Read a config and merge the options of the command line into it.

    Raises:
        UsageError: If the file or an option cannot work.
    """
    try:
        file = config_file(path)
        if not osp.isfile(file):
            raise UsageError(f'config {path} does not exist: correct the path')
        cfg = Config.fromfile(file)
    except UsageError:
        raise
    except Exception as error:
        if isinstance(error, ImportError) and (lacking := explain(error)):
            raise UsageError(lacking) from error
        # mmengine appends all of `sys.path` to its message.
        reason = one_line(error).partition(', the current sys.path')[0].rstrip('.!')
        if double := DOUBLE.search(reason):
            raise UsageError(f'config {path}: {_both_have(double[1])}') from error
        raise UsageError(f'config {path} cannot be read: {reason}: correct it') from error
    _check_keys(cfg, options or {})
    try:
        cfg.merge_from_dict(options or {})
    except Exception as error:
        raise UsageError(f'--cfg-options do not fit config {path}: {one_line(error)}: correct them') from error
    check_packages(cfg)
    trust_pickles(cfg.get('trust_pickles', False))
    return cfg


def _both_have(key: str) -> str:
    """What to do where two bases set one key, which mmengine does not join."""
    if key == 'custom_hooks':
        return (
            "two of its bases have `custom_hooks`, which mmengine does not join: take 'shake_mm::_base_/distill.py', "
            'or the other, out of `_base_`, and write its hooks behind those that stay: custom_hooks = '
            "[*_base_.custom_hooks, dict(type='shake_mm.MemberEvalHook'), …]."
        )
    return (
        f'two of its bases have `{key}`, which mmengine does not join: leave one of them out, and write what it has '
        'beside that into this config.'
    )


def _check_keys(cfg: Config, options: dict) -> None:
    """Refuse a setting of what neither the config has nor a run reads, which would change nothing.

    Raises:
        UsageError: With the nearest key.
    """
    known = [*cfg, *inspect.signature(Runner).parameters, *READ]
    for option in options:
        key, *rest = option.split('.')
        if key not in known:
            below = [f'{name}.{key}' for name, part in cfg.items() if isinstance(part, dict) and key in part]
            near = '.'.join([below[0] if below else nearest(key, known) or 'model', *rest])
            raise UsageError(f"--cfg-options: {option} changes nothing, as no run reads '{key}': did you mean {near}?")


def check_device(name: str) -> None:
    """Refuse a device that this machine, or this torch, does not have.

    Args:
        name (str): As torch names it.

    Raises:
        UsageError: Naming one that is there.
    """
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        found = one_line(error).split('. ')[0].rstrip('.')
        raise UsageError(
            f'--device {name}: there is no such device here ({found}): leave it out, or use cpu.'
        ) from error


def set_work_dir(cfg: Config, args: argparse.Namespace) -> None:
    """Choose the folder for logs and checkpoints: command line, then config, then ``work_dirs/<config name>``."""
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = osp.join('work_dirs', osp.splitext(osp.basename(args.config))[0])


def set_launcher(cfg: Config, args: argparse.Namespace) -> None:
    """Hand the launcher to the runner.

    Raises:
        UsageError: If its variables are not set.
    """
    cfg.launcher = args.launcher
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    check_launch(args.launcher)


def existing_checkpoint(path: str) -> str:
    """Return the path of a checkpoint, which must exist if it is a local one."""
    if '://' not in path and '::' not in path and not osp.isfile(osp.expanduser(path)):
        raise UsageError(f'checkpoint {path} does not exist: correct the path')
    return path


def run(command: Callable[[argparse.Namespace], None], args: argparse.Namespace) -> int:
    """Run a command with our preferences, and turn its outcome into an exit status.

    An error that a user can fix is printed as one sentence; ``--debug`` shows the traceback instead. Any other error
    is a defect of the program and passes through.

    Args:
        command (Callable): Does the work.
        args (argparse.Namespace): Parsed command line, with ``debug``.

    Returns:
        int: 0, or 1 after an error, or 130 after an interruption, or what the command exits with by itself (75 where
        ``PreemptionHook`` stopped a run).
    """
    apply_preferences()
    status: Any = 0
    try:
        with guard_loaders():
            command(args)
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        return 130
    except SystemExit as stop:
        if isinstance(stop.code, str):  # a message, which Python prints
            raise
        status = stop.code or 0
    except Exception as error:
        # After a data worker has died, PyTorch's handler raises again for every other one that ends, even in here.
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        except RuntimeError:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        except ValueError:  # not in the main thread, which alone handles signals
            pass
        # A worker that is handing over a batch would print a traceback of its own as soon as nobody takes it. The
        # frames of the error hold that connection open until here.
        kill_data_workers()
        sentence = explain(error) or explain_build(error)
        if args.debug or sentence is None:
            raise
        rank, world_size = get_dist_info()
        print(f'error: {sentence}' if world_size == 1 else f'error (rank {rank}): {sentence}', file=sys.stderr)
        return 1
    leave_process_group()
    return status
