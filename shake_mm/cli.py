"""What the command line tools share: common options, config loading, and errors told in one sentence."""

import argparse
import difflib
import gc
import os
import os.path as osp
import pickle
import re
import sys
from collections.abc import Callable, Iterator

from mmengine.config import Config, DictAction
from mmengine.dist import get_dist_info
from mmengine.registry import Registry, root
from torch import distributed as torch_dist

from .errors import NonFiniteError, UsageError

UNKNOWN_TYPE = re.compile(r'(\S+) is not in the (?:(\S+)::)?(.+?) registry')
WRONG_ARGUMENT = re.compile(r'(\w+)\.__init__\(\) ((?:got an unexpected keyword|missing \d+ required).*)')
UNSAFE_GLOBAL = re.compile(r'Unsupported global: GLOBAL (\S+)')


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that all tools take."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override settings of the config, as key=value pairs; a list is written key="[a,b]" or key=a,b, '
        'a nested one key="[(a,b),(c,d)]", in quotation marks and without white space',
    )
    parser.add_argument('--debug', action='store_true', help='show the traceback of an error')


def add_launcher_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the tools that can run as several processes."""
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by the launcher')


def load_config(path: str, options: dict | None = None) -> Config:
    """Read a config and merge the options of the command line into it.

    Raises:
        UsageError: If the file or an option cannot work.
    """
    if not osp.isfile(path):
        raise UsageError(f'config {path} does not exist')
    try:
        cfg = Config.fromfile(path)
    except Exception as error:
        raise UsageError(f'config {path} cannot be read: {_one_line(error)}') from error
    try:
        cfg.merge_from_dict(options or {})
    except Exception as error:
        raise UsageError(f'--cfg-options do not fit config {path}: {_one_line(error)}') from error
    return cfg


def set_work_dir(cfg: Config, args: argparse.Namespace) -> None:
    """Choose the folder for logs and checkpoints: command line, then config, then ``work_dirs/<config name>``."""
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = osp.join('work_dirs', osp.splitext(osp.basename(args.config))[0])


def set_launcher(cfg: Config, args: argparse.Namespace) -> None:
    """Hand the launcher to the runner."""
    cfg.launcher = args.launcher
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))


def existing_checkpoint(path: str) -> str:
    """Return the path of a checkpoint, which must exist if it is a local one."""
    if '://' not in path and not osp.isfile(osp.expanduser(path)):
        raise UsageError(f'checkpoint {path} does not exist')
    return path


def run(command: Callable[[argparse.Namespace], None], args: argparse.Namespace) -> int:
    """Run a command and turn its outcome into an exit status.

    An error that a user can mend is printed as one sentence; ``--debug`` shows the traceback instead. Any other error
    is a defect of the program and passes through.

    Args:
        command (Callable): Does the work.
        args (argparse.Namespace): Parsed command line, with ``debug``.

    Returns:
        int: 0, or 1 after an error, or 130 after an interruption, or what the command exits with by itself (75 where
        ``PreemptionHook`` stopped a run).
    """
    status = 0
    try:
        command(args)
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        return 130
    except SystemExit as stop:
        status = stop.code
    except Exception as error:
        sentence = explain(error)
        if args.debug or sentence is None:
            raise
        rank, world_size = get_dist_info()
        print(f'error: {sentence}' if world_size == 1 else f'error (rank {rank}): {sentence}', file=sys.stderr)
        return 1
    if torch_dist.is_available() and torch_dist.is_initialized():
        # The runner's reference cycles hold the wrapped model, and that the process group: its threads must have ended
        # before the process does, or it aborts ("terminate called without an active exception").
        gc.collect()
        torch_dist.destroy_process_group()
    return status


def explain(error: Exception) -> str | None:
    """Say in one sentence what a user did wrong; None if the error is not a user's."""
    if isinstance(error, KeyError):
        match = UNKNOWN_TYPE.search(str(error))
        return match and _explain_unknown_type(*match.groups())
    if isinstance(error, pickle.UnpicklingError):
        match = UNSAFE_GLOBAL.search(str(error))
        held = f'it holds `{match[1]}`' if match else _one_line(error)
        return f'a checkpoint cannot be read safely: {held}; publish it again with weights and plain values only'
    if isinstance(error, EOFError) or (isinstance(error, RuntimeError) and 'PytorchStreamReader' in str(error)):
        return f'a checkpoint is truncated or damaged ({_one_line(error)}): use an earlier one'
    if isinstance(error, TypeError):
        match = WRONG_ARGUMENT.search(str(error))
        return match and f'{match[1]} in the config {match[2]}: correct the key, see its documentation'
    if isinstance(error, UsageError | NonFiniteError | OSError):
        return _one_line(error)
    return None


def _explain_unknown_type(key: str, scope: str | None, kind: str) -> str:
    """Suggest the registered names nearest to one that is not; those that need no scope before them come first."""
    key = key.strip('\'"')
    wanted_scope, _, name = key.rpartition('.')
    plain_scopes = () if wanted_scope else (scope, 'mmengine')
    known = {}
    for registry in sorted(_registries(kind), key=lambda registry: registry.scope not in plain_scopes):
        if wanted_scope in ('', registry.scope):
            prefix = '' if registry.scope in plain_scopes else f'{registry.scope}.'
            for known_name in registry.module_dict:
                known.setdefault(known_name, f'{prefix}{known_name}')
    nearest = [known[match] for match in difflib.get_close_matches(name, known, n=3)]
    hint = f'did you mean {" or ".join(nearest)}?' if nearest else 'check its spelling and its scope'
    place = wanted_scope or scope
    return f'type {key} is not in the {kind} registry{f" of {place}" if place else ""}: {hint}'


def _registries(kind: str) -> Iterator[Registry]:
    """Yield the registries of one kind, of all scopes."""
    stack = [registry for registry in vars(root).values() if isinstance(registry, Registry)]
    while stack:
        registry = stack.pop()
        stack.extend(registry.children.values())
        if registry.name == kind:
            yield registry


def _one_line(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f'{error.msg} in line {error.lineno}'
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f'{error.filename}: {error.strerror}'
    # str() of a KeyError is the repr of its message.
    message = error.args[0] if isinstance(error, KeyError) and error.args else error
    return ' '.join(str(message).split()) or type(error).__name__
