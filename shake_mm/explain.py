"""Error messages in one sentence: which errors a user can fix, and how."""

import difflib
import errno
import inspect
import pickle
import re
import traceback
from collections.abc import Iterator
from contextlib import suppress

from mmengine.registry import Registry, root

from .errors import NonFiniteError, UsageError
from .stack import DISTRIBUTIONS, find, problem
from .validation import nearest

UNKNOWN_TYPE = re.compile(r'(\S+) is not in the (?:(\S+)::)?(.+?) registry')
WRONG_ARGUMENT = re.compile(r'(\w+)\.__init__\(\) ((?:got an unexpected keyword|missing \d+ required).*)')
MMRAZOR = re.compile(
    "'(architecture|teacher|teacher_ckpt|teacher_trainable|teacher_norm_eval|student_trainable|calculate_student_loss|"
    "distiller|(student|teacher)_recorders|(distill_)?deliveries|distill_losses|loss_forward_mappings)'"
)
"""What mmrazor's distillation calls its arguments, and ours does not."""
UNSAFE_GLOBAL = re.compile(r'Unsupported global: GLOBAL (\S+)')
IN_WORKER = re.compile(r'^Caught \w+ in DataLoader worker process \d+\.\nOriginal.*\n[\w.]*\w: (.*)$', re.DOTALL)
NOT_INSTALLED = re.compile(r'^(\w+) is not installed')
NO_TYPE = re.compile(r'must contain the key "type", but got (.*)', re.DOTALL)
UNPICKLER = re.compile(r'WeightsUnpickler error: (.*)')
SHOWN = 120
BUILDERS = {
    'build_model': 'model',
    'build_train_loop': 'train_cfg',
    'build_val_loop': 'val_cfg',
    'build_dataloader': 'a data loader',
    'build_optim_wrapper': 'optim_wrapper',
    'build_param_scheduler': 'param_scheduler',
    'build_evaluator': 'an evaluator',
    'build_visualizer': 'visualizer',
    'build_log_processor': 'log_processor',
    'register_hook': 'a hook',
    'setup_env': 'env_cfg',
    'set_randomness': 'randomness',
}
"""Methods of mmengine's runner that read a part of the config, and the part."""

DEAD_WORKER = (
    'a process that loads data{} died, and the run stopped; the last checkpoint is intact: go on with --resume, and '
    'where memory ran out lower train_dataloader.num_workers'
)

UPSTREAM: tuple[tuple[type[Exception] | tuple[type[Exception], ...], re.Pattern, str], ...] = (
    (ValueError, re.compile(r'^Invalid (.+?): (.+)$'), 'optim_wrapper.optimizer has an invalid {0}, {1}: correct it'),
    (
        ValueError,
        re.compile(r"^cannot find context for '(.+)'$"),
        "env_cfg.mp_cfg.mp_start_method='{0}': use 'spawn' or 'fork'",
    ),
    (
        ValueError,
        re.compile(r"loaded state dict (?:has a different|contains a parameter group that doesn't match)"),
        'the checkpoint is of a run whose optimizer had other parameters: give the config that it was trained with, or '
        'start from its weights by `load_from`, without resuming',
    ),
    (
        RuntimeError,
        re.compile(r'DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\) (?:is killed|exited)'),
        DEAD_WORKER.format(' (pid {0})'),
    ),
    (
        RuntimeError,
        re.compile(r'(?:port: |failed to bind to \S+:)(\d+)\b.*(?:EADDRINUSE|Address already in use)', re.DOTALL),
        'MASTER_PORT={0} is taken: choose another (`PORT=…` for tools/dist_train.sh)',
    ),
    (
        RuntimeError,
        re.compile(r"Distributed package doesn't have (\S+) built in"),
        "env_cfg.dist_cfg.backend: this torch was built without {0}: use 'gloo', or 'nccl' on NVIDIA GPUs",
    ),
    (
        RuntimeError,
        re.compile(
            r'DDP expects same model across all ranks, but Rank (\d+) has (\d+) params, while rank (\d+) has \D*(\d+)'
        ),
        'the processes train different models (rank {0} has {1} parameters, rank {2} has {3}): start all with the same '
        'config, options and packages',
    ),
    (
        RuntimeError,
        re.compile(r'params\[(\d+)\] in this process with sizes (\[.*?\]) appears not to match'),
        'the processes train different models (parameter {0} has the shape {1} here, and another one on rank 0): start '
        'all with the same config, options and packages',
    ),
    (
        RuntimeError,
        re.compile(r'PytorchStreamWriter failed|unexpected pos \d+ vs \d+'),
        'a checkpoint cannot be written whole: free some space, or choose another folder',
    ),
    (
        RuntimeError,
        re.compile(r'gloo\S*transport\S+ (?:Read error|Connection closed|.*Connection reset)'),
        'another process of this run has ended, and this one cannot go on: see what that one told, then start again',
    ),
    (
        ImportError,
        re.compile('pip install future tensorboard'),  # of which torch needs the second alone
        'the config asks for TensorBoard, which is not installed: run `pip install tensorboard`',
    ),
    (
        ImportError,
        re.compile(r'["`]pip install ([\w. -]+)["`]'),
        'the config asks for what is not installed: run `pip install {0}`',
    ),
    (
        (ImportError, RuntimeError),
        re.compile(r'(?:pip|mim) install [`"\']?([\w.-]+)'),
        'the config asks for {0}, which is not installed: run `pip install {0}`',
    ),
    (
        ModuleNotFoundError,
        re.compile(r"^(?:No module named '|import of )((?!shake_mm|mm|torch|numpy)\w+)"),
        'the config asks for {0}, which is not installed, or damaged: run `pip install {0}`',
    ),
)
"""Errors of the stack that a user can fix: their class, a pattern of their message, and the sentence."""

REMEDIES = {
    errno.ENOENT: 'correct the path',
    errno.EEXIST: 'a file is in the way, choose another folder',
    errno.ENOTDIR: 'a file is in the way, choose another folder',
    errno.EISDIR: 'name a file instead',
    errno.ENOSPC: 'free some space, or choose another folder',
    errno.EACCES: 'choose another folder, or ask for the permission',
    errno.EPERM: 'choose another folder, or ask for the permission',
    errno.EROFS: 'choose another folder',
}


def explain(error: BaseException) -> str | None:
    """Explain an error that a user can fix in one sentence; None for any other error."""
    if isinstance(error, UsageError | NonFiniteError):
        return one_line(error)
    if isinstance(error, ConnectionError | EOFError) and _from_a_worker(error):
        return DEAD_WORKER.format('')
    if isinstance(error, KeyError):
        return _explain_key_error(error)
    if isinstance(error, pickle.UnpicklingError):
        match = UNSAFE_GLOBAL.search(str(error))
        held = f'it holds `{match[1]}`' if match else one_line(error).rstrip('.')
        return f'a checkpoint cannot be read safely: {held}; publish it again with weights and plain values only'
    if isinstance(error, EOFError) or (isinstance(error, RuntimeError) and 'PytorchStreamReader' in str(error)):
        return f'a checkpoint is truncated or damaged ({one_line(error)}): use an earlier one'
    if isinstance(error, TypeError):
        match = WRONG_ARGUMENT.search(str(error))
        return match and _explain_argument(error, *match.groups())
    if isinstance(error, ImportError) and (lacking := _lacking(error)):
        return lacking
    for kind, pattern, sentence in UPSTREAM:
        match = pattern.search(str(error)) if isinstance(error, kind) else None
        if match:
            return sentence.format(*match.groups())
    return _explain_os_error(error) if isinstance(error, OSError) else None


def explain_build(error: BaseException) -> str | None:
    """Explain what mmengine raised while it built a part of the config; None for any other error.

    What our engine raises itself is a defect of ours, unless it is a :class:`UsageError`.
    """
    kinds = (TypeError, ValueError, AssertionError, LookupError, AttributeError, ArithmeticError, NotImplementedError)
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)] if isinstance(error, kinds) else []
    what = None
    for frame in frames:
        module, name = frame.f_globals.get('__name__', ''), frame.f_code.co_name
        if (module, name) == ('mmengine.runner.runner', 'resume') and frame is not frames[-1]:
            return f'the checkpoint cannot be gone on from ({_with_type(error)}): it is damaged, use an earlier one'
        if module.startswith('mmengine.') and name in BUILDERS:
            what = BUILDERS[name]
        elif module == 'mmengine.registry.build_functions' and 'obj_cls' in frame.f_locals:
            what = getattr(frame.f_locals['obj_cls'], '__name__', what)
    if what is None or frames[-1].f_globals.get('__name__', '').startswith('shake_mm.engine'):
        return None
    told = _with_type(error)
    return f'{what} in the config cannot be built ({told}): correct its options; --debug shows where it failed'


def _with_type(error: BaseException) -> str:
    told = one_line(error).rstrip('.')
    return told if ' ' in told else f'{type(error).__name__} {told}'


def one_line(error: BaseException) -> str:
    """Return the message of an error in one line, without PyTorch's advice on how to run the code in a checkpoint."""
    if isinstance(error, SyntaxError):
        return f'{error.msg} in line {error.lineno}'
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f'{error.filename}: {error.strerror}'
    # str() of a KeyError is the repr of its message.
    message = error.args[0] if isinstance(error, KeyError) and error.args else error
    worker = IN_WORKER.search(str(message))  # PyTorch raises a worker's error anew, with the traceback in its message
    message = worker[1] if worker else message
    if 'weights_only' in str(message):
        found = UNPICKLER.search(str(message))
        message = found[1] if found and 'weights_only' not in found[1] else 'it holds more than weights'
    told = ' '.join(str(message).split()) or type(error).__name__
    # Names may come from files: none of their characters commands a terminal.
    return ''.join(letter if letter.isprintable() else '?' for letter in told)


def _lacking(error: ImportError) -> str:
    """What to install where an import failed for the lack of a package of the stack, else ''."""
    match = NOT_INSTALLED.search(str(error))
    module = (error.name or (match[1] if match else '')).partition('.')[0]
    missing = module in DISTRIBUTIONS and find(module) is None
    return problem(module).replace('shake_mm needs', 'the config needs', 1) if missing else ''


def reason(error: BaseException) -> str:
    """The message of an error, with its type if it is not a sentence."""
    text = one_line(error).rstrip('.')
    return text if ' ' in text else f'{type(error).__name__}({text})'


def _from_a_worker(error: BaseException) -> bool:
    """Whether an error arose because a data worker died while it handed over a batch."""
    frames = traceback.extract_tb(error.__traceback__)
    return any(frame.name == '_try_get_data' and frame.filename.endswith('dataloader.py') for frame in frames)


def _explain_os_error(error: OSError) -> str:
    remedy = REMEDIES.get(error.errno or 0)
    return f'{one_line(error)}: {remedy}' if remedy else one_line(error)


def _explain_key_error(error: KeyError) -> str | None:
    match = UNKNOWN_TYPE.search(str(error))
    if match:
        return _explain_unknown_type(*match.groups())
    match = NO_TYPE.search(one_line(error))
    if match:
        part = match[1].removesuffix(' None')
        part = part if len(part) <= SHOWN else f'{part[:SHOWN]}…'
        return f"a part of the config has no 'type': add it to {part}"
    return None


def _explain_argument(error: TypeError, name: str, told: str) -> str:
    """Suggest the argument nearest to one that a part of the config does not take."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    built = [frame.f_locals['obj_cls'] for frame in frames if isinstance(frame.f_locals.get('obj_cls'), type)]
    known: list[str] = []
    for kind in built[-1].__mro__ if built else ():
        with suppress(ValueError, TypeError):  # of a class that is written in C
            known += [
                key for key in inspect.signature(kind.__init__).parameters if key not in ('self', 'args', 'kwargs')
            ]
    word = re.search(r"keyword argument '(\w+)'", told)
    near = word and nearest(word[1], known)
    remedy = f'did you mean {near}?' if near else 'correct the key, see its documentation'
    if MMRAZOR.search(told):
        remedy = 'correct the key, see docs/from_mmrazor.md'
    return f'{built[-1].__name__ if built else name} in the config {told}: {remedy}'


def _explain_unknown_type(key: str, scope: str | None, kind: str) -> str:
    """Suggest the registered names closest to an unknown one; names that need no scope come first."""
    key = key.strip('\'"')
    wanted_scope, _, name = key.rpartition('.')
    plain_scopes = () if wanted_scope else (scope, 'mmengine')
    known: dict[str, str] = {}
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
    """Yield the registries of one kind, of all scopes, with what they register."""
    stack = [registry for registry in vars(root).values() if isinstance(registry, Registry)]
    while stack:
        registry = stack.pop()
        stack.extend(registry.children.values())
        if registry.name == kind:
            with suppress(Exception):  # whatever a library lacks must not hide the error that is explained
                getattr(registry, 'import_all', registry.import_from_location)()
            yield registry
