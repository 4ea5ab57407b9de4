"""Mends for the defects of the OpenMMLab stack that shake_mm would otherwise hit.

Each function mends one defect, leaves alone what is already right, may be called again, and returns whether it acted.
:func:`mend_all` runs them all; ``import shake_mm`` calls it before anything imports mmpretrain, mmdet or mmrazor.
"""

import atexit
import gc
import importlib.metadata
import importlib.util
import json
import os.path as osp
import sys
import types
from collections.abc import Callable
from functools import lru_cache, wraps
from logging import WARNING
from typing import Any

import mmengine.config.config
import mmengine.dist.utils
import mmengine.hub.hub
import numpy as np
import torch
from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.device import get_device
from mmengine.logging import HistoryBuffer, MessageHub, print_log
from mmengine.model import MMDistributedDataParallel

PACKAGE = __package__
PACKAGE_DIR = osp.dirname(osp.abspath(__file__))
# Operators are forgotten together with the library object that declared them, so it has to live as long as the process.
_LIBRARIES: list[torch.library.Library] = []


def mend_all() -> dict[str, bool]:
    """Run every mend.

    Returns:
        dict[str, bool]: For each mend, whether it acted this time.
    """
    mends = (
        mend_torchvision,
        mend_mmrazor,
        mend_message_hub,
        mend_history_buffer,
        mend_runtime_info,
        mend_cpu_launch,
        mend_cpu_wrapper,
        mend_config_paths,
        mend_config_layout,
        mend_installed_path,
        mend_checkpoints,
    )
    return {mend.__name__: mend() for mend in mends}


def mend_torchvision() -> bool:
    """Let torchvision be imported when its C++ operators do not load, as with a CUDA build beside a CPU torch.

    Its Python side describes the operators ``nms`` and ``qnms`` unconditionally, and fails when nothing has declared
    them (pytorch/pytorch#157648). Only the import is mended: calling such an operator still raises torchvision's own
    explanation.
    """
    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:
        if 'torchvision::' not in str(error):
            raise
    else:
        return False
    library = torch.library.Library('torchvision', 'FRAGMENT')
    for name in ('nms', 'qnms'):
        library.define(f'{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
    _LIBRARIES.append(library)
    # What the failed import left behind is half initialized.
    for name in [name for name in sys.modules if name.partition('.')[0] == 'torchvision']:
        del sys.modules[name]
    return True


def mend_mmrazor() -> bool:
    """Let mmrazor be imported beside torch 2, without its quantization (open-mmlab/mmrazor#615, #632).

    A stub stands for the one module that names functions torch 2 renamed. mmrazor itself is not imported here.
    """
    name = 'mmrazor.structures.quantization'
    if name in sys.modules or not importlib.util.find_spec('mmrazor'):
        return False
    try:
        from torch.ao.quantization.fuser_method_mappings import reverse2  # noqa: F401
    except ImportError:
        pass
    else:
        return False

    class QConfigHandler:
        """Stands for the class of mmrazor that needs torch 1.13."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            raise ImportError(f'quantization of mmrazor needs torch 1.13, but torch {torch.__version__} is installed')

    stub = types.ModuleType(name, 'Stands for the quantization of mmrazor, which torch 2 cannot import.')
    stub.BackendConfigs, stub.QConfigHandler = {}, QConfigHandler
    stub.__all__ = ['BackendConfigs', 'QConfigHandler']
    sys.modules[name] = stub
    return True


def mend_message_hub() -> bool:
    """Write message hubs as tensors and plain Python values, and read that form beside the old one.

    mmengine pickles ``HistoryBuffer`` objects and numpy values into every checkpoint, which torch>=2.6 refuses to load
    (open-mmlab/mmengine#1655). A checkpoint written after this mend loads with ``weights_only=True`` anywhere; a
    process without the mend skips the log histories, with mmengine's own warning.
    """
    probe = MessageHub('probe')
    probe.update_scalar('loss', 1.0)
    if not isinstance(probe.state_dict()['log_scalars']['loss'], HistoryBuffer):
        return False
    upstream_save, upstream_load = MessageHub.state_dict, MessageHub.load_state_dict

    @wraps(upstream_save)
    def state_dict(self: MessageHub) -> dict:
        return {part: _plain_items(values) for part, values in upstream_save(self).items()}

    @wraps(upstream_load)
    def load_state_dict(self: MessageHub, state: 'MessageHub | dict') -> None:
        if isinstance(state, dict) and 'log_scalars' in state:
            scalars = {key: _as_history(value) for key, value in state['log_scalars'].items()}
            state = {**state, 'log_scalars': scalars}
        upstream_load(self, state)

    MessageHub.state_dict, MessageHub.load_state_dict = state_dict, load_state_dict
    return True


def _plain_items(values: dict) -> dict:
    """Make a dictionary plain, leaving out, with a warning, what has no plain form."""
    plain = {}
    for key, value in values.items():
        try:
            plain[key] = _plain(value)
        except TypeError as error:
            print_log(f'{key} in message_hub is not saved: {error}', logger='current', level=WARNING)
    return plain


def _plain(value: Any) -> Any:
    """Rebuild a value from tensors and built-in types, which is all that ``weights_only=True`` loads."""
    if value is None or isinstance(value, torch.Tensor | bytes):
        return value
    if isinstance(value, HistoryBuffer):
        log, count = value.data
        return dict(log_history=_plain(log), count_history=_plain(count), max_length=value.max_length)
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy()) if value.dtype.kind in 'biufc' else _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    for kind in (list, tuple, set):
        if isinstance(value, kind):
            return kind(_plain(item) for item in value)
    for kind in (bool, int, float, complex, str):
        if isinstance(value, kind):
            return kind(value)
    raise TypeError(f'a {type(value).__name__} has no plain form')


def _as_history(value: Any) -> Any:
    """Rebuild a log history from its plain form; anything else passes."""
    if isinstance(value, dict) and value.keys() == {'log_history', 'count_history', 'max_length'}:
        # A runner that resumes on a device has moved all tensors of the file there.
        log, count = (value[key].cpu().numpy() for key in ('log_history', 'count_history'))
        return HistoryBuffer(log, count, value['max_length'])
    return value


def mend_history_buffer() -> bool:
    """Append to a log history where it stands.

    mmengine copies the whole history for every value: at the end of a CIFAR run of 240 epochs a millisecond per value
    and step, of which a distillation logs about nine.
    """
    upstream = HistoryBuffer.update
    if hasattr(upstream, '__wrapped__'):
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
    """As ``np.append``, into room that the array was given before, or is given now."""
    number, room = len(values), values.base
    fits = np.can_cast(np.min_scalar_type(value), values.dtype, 'same_kind')
    begins = room is not None and room.ctypes.data == values.ctypes.data and room.dtype == values.dtype
    if not (fits and begins and room.ndim == 1 and len(room) > number):
        dtype = values.dtype if fits and number else np.result_type(values, np.asarray(value))
        room = np.empty(max(64, 2 * number), dtype)
        room[:number] = values
    room[number] = value
    return room[: number + 1]


def mend_runtime_info() -> bool:
    """Let a run read its losses when it logs, not in every step (open-mmlab/mmengine#1519)."""
    # mmengine's hooks import torchvision, which has to be mended first.
    from mmengine.registry import HOOKS

    from .deferred_info import DeferredInfoHook

    if HOOKS.get('RuntimeInfoHook') is DeferredInfoHook:
        return False
    HOOKS.register_module('RuntimeInfoHook', force=True, module=DeferredInfoHook)
    return True


def mend_cpu_launch() -> bool:
    """Let mmengine's launchers start where there is no device: no ``torch.cuda.set_device``, and gloo for nccl.

    A process that ends inside gloo's group may abort ("terminate called without an active exception",
    pytorch/pytorch#190489), so it leaves the group before Python is torn down.
    """
    utils = mmengine.dist.utils
    if get_device() != 'cpu' or hasattr(utils._init_dist_pytorch, '__wrapped__'):
        return False

    def on_cpu(init: Callable) -> Callable:
        @wraps(init)
        def init_dist(backend: str, *args: Any, **kwargs: Any) -> None:
            set_device = torch.cuda.set_device
            torch.cuda.set_device = lambda device: None
            try:
                init('gloo' if backend == 'nccl' else backend, *args, **kwargs)
            finally:
                torch.cuda.set_device = set_device
            atexit.register(_leave_process_group)
            if backend == 'nccl' and mmengine.dist.is_main_process():
                print_log('There is no CUDA device: the processes communicate by gloo instead of nccl.', 'current')

        return init_dist

    for name in ('_init_dist_pytorch', '_init_dist_mpi', '_init_dist_slurm'):
        setattr(utils, name, on_cpu(getattr(utils, name)))
    return True


def _leave_process_group() -> None:
    """End gloo's threads. Reference cycles, as in a runner, may hold a wrapped model and that the group."""
    gc.collect()
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def mend_cpu_wrapper() -> bool:
    """Let ``MMDistributedDataParallel`` wrap a model on the CPU: the runner always passes it a device index."""
    upstream = MMDistributedDataParallel.__init__
    if get_device() != 'cpu' or hasattr(upstream, '__wrapped__'):
        return False

    @wraps(upstream)
    def init(self: MMDistributedDataParallel, module: torch.nn.Module, *args: Any, **kwargs: Any) -> None:
        kwargs.pop('device_ids', None)
        upstream(self, module, *args, **kwargs)

    MMDistributedDataParallel.__init__ = init
    return True


def mend_config_paths() -> bool:
    """Resolve ``_base_ = 'shake_mm::...'``, from an installation and from a checkout.

    mmengine only knows the packages in its own table. It would also send the types in such a base to the registries of
    shake_mm, where mmpretrain's and mmdet's are not found; our configs say their scope themselves.
    """
    upstream = Config._get_cfg_path
    if PACKAGE in MODULE2PACKAGE:
        return False
    MODULE2PACKAGE[PACKAGE] = PACKAGE

    @wraps(upstream)
    def get_cfg_path(cfg_path: str, filename: str) -> tuple[str, str | None]:
        package, separator, inner_path = cfg_path.partition('::')
        if separator and package == PACKAGE:
            return osp.join(configs_dir(), inner_path), None
        return upstream(cfg_path, filename)

    Config._get_cfg_path = staticmethod(get_cfg_path)
    return True


def configs_dir() -> str:
    """Return the folder of shake_mm's configs: inside an installed package, or at the root of a checkout."""
    installed = osp.join(PACKAGE_DIR, '.mim', 'configs')
    return installed if osp.isdir(installed) else osp.join(osp.dirname(PACKAGE_DIR), 'configs')


def mend_config_layout() -> bool:
    """Lay the same config out once: mmengine has yapf do it several times at a run's start and for every checkpoint."""
    upstream = mmengine.config.config.FormatCode
    if hasattr(upstream, '__wrapped__'):
        return False

    @lru_cache(maxsize=8)
    def laid_out(text: str, options: str) -> Any:
        return upstream(text, **json.loads(options))

    @wraps(upstream)
    def format_code(text: str, **options: Any) -> Any:
        return laid_out(text, json.dumps(options, sort_keys=True))

    mmengine.config.config.FormatCode = format_code
    return True


def mend_installed_path() -> bool:
    """Find shake_mm when it is installed in editable mode, for ``mmengine.hub``.

    mmengine expects the package beside its metadata; an editable installation (PEP 660) keeps only the latter in
    ``site-packages``.
    """
    try:
        expected = importlib.metadata.distribution(PACKAGE).locate_file(PACKAGE)
    except importlib.metadata.PackageNotFoundError:  # mmengine then asks Python where the package is
        return False
    upstream = mmengine.utils.get_installed_path
    if osp.isdir(expected) or hasattr(upstream, '__wrapped__'):
        return False

    @wraps(upstream)
    def get_installed_path(package: str) -> str:
        return PACKAGE_DIR if package == PACKAGE else upstream(package)

    for module in (mmengine.utils.package_utils, mmengine.utils, mmengine.config.config, mmengine.hub.hub):
        module.get_installed_path = get_installed_path
    return True


def mend_checkpoints() -> bool:
    """Write checkpoints, and the file that names the last one, whole or not at all; local files only.

    mmengine writes in place and removes the outdated checkpoint before it has the new one, so that a kill or a full
    disk may leave nothing to resume from.
    """
    # mmengine's hooks import torchvision, which has to be mended first.
    from mmengine.fileio import LocalBackend
    from mmengine.hooks import CheckpointHook

    from . import atomic

    upstream = CheckpointHook.before_train
    if CheckpointHook._save_checkpoint_with_step is atomic.save_with_step:
        return False

    @wraps(upstream)
    def before_train(self: CheckpointHook, runner: Any) -> None:
        upstream(self, runner)
        atomic.begin(self, runner)

    CheckpointHook.before_train, CheckpointHook._save_checkpoint_with_step = before_train, atomic.save_with_step
    LocalBackend.put = lambda self, obj, filepath: atomic.write(filepath, obj)
    return True
