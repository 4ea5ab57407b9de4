"""Tell what differs when a run goes on from a checkpoint: what it changes, and what it does not, although it seems."""

import json
import os.path as osp
from collections.abc import Mapping
from typing import Any

from mmengine.dist import get_world_size
from mmengine.hooks import Hook

from ..engine import Distiller
from ..errors import UsageError
from ..loops import ExactTrainLoop
from ..members.cache import digest, weights_key
from ..registry import HOOKS
from ..utils import unwrap_model

INFO = 'made_by'
KEPT = ('learning rate', 'optimizer', 'schedule', 'seed')
"""Parts that a checkpoint brings along, so that the config's own have no effect."""

_VIEWS = ('pipeline', 'crop_size', 'padding', 'pad_val', 'flip_prob')
_PLACES = ('data_root', 'ann_file', 'data_prefix', 'img_prefix', 'config')
_FILES = ('checkpoint', 'cache')
_WATCHERS = (
    *('MemberEvalHook', 'PreemptionHook', 'ReadGuardHook', 'ResumeGuardHook', 'SharedTeacherHook'),
    'TeacherCacheHook',
)


@HOOKS.register_module()
class ResumeGuardHook(Hook):
    """Notes in every checkpoint what the run is made of, and compares when it goes on from one.

    Noted are the parts that make the draws and the objective, each by itself: plain numbers as they are, the rest as a
    fingerprint. Where a part differs, a run by ``ExactTrainLoop`` is refused; any other goes on and says so. The number
    of epochs may differ, and so may the places of files. ``tools/train.py`` adds this hook to every run.

    Raises:
        UsageError: If an exact run is to go on from a checkpoint of another one, naming the parts.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._compared = False

    def before_train(self, runner: Any) -> None:
        """Compare with the checkpoint that the run goes on from, if there is one, and note the run's own parts."""
        # Two runs of one program that begin within a second share mmengine's hub, which then is no checkpoint's.
        if runner._has_loaded:
            self.compare(runner, runner.message_hub.runtime_info)
        runner.message_hub.update_info(INFO, {**parts_of(runner), 'seed': runner.seed})

    def compare(self, runner: Any, runtime_info: Mapping[str, Any]) -> None:
        """Refuse or tell what differs, once a run.

        Args:
            runner (Runner): Its loop for training is built.
            runtime_info (Mapping): Of the checkpoint's message hub.
        """
        there, here = runtime_info.get(INFO), parts_of(runner)
        if self._compared or not isinstance(there, Mapping):
            return
        self._compared = True
        differs = [name for name, value in here.items() if name in there and there[name] != value]
        if not differs:
            return
        told = {name: _told(name, there[name], here[name]) for name in differs}
        if isinstance(runner.train_loop, ExactTrainLoop):
            raise UsageError(
                f'--resume: with --exact a run goes on as it was, but this one differs from the checkpoint in '
                f'{_listed(told.values())}: set that back, or resume without --exact.'
            )
        if kept := [told[name] for name in differs if name in KEPT]:
            runner.logger.warning(
                f"--resume keeps the checkpoint's {_listed(kept)}: to train with the config's, start from the "
                'weights alone, by load_from without --resume.'
            )
        if changed := [told[name] for name in differs if name not in KEPT]:
            runner.logger.warning(f'--resume goes on with changes to the run of the checkpoint: {_listed(changed)}.')


def parts_of(runner: Any) -> dict[str, Any]:
    """What a run is made of, by the name of the part: plain values, and fingerprints of whatever is longer.

    Args:
        runner (Runner): Its loop for training is built.
    """
    cfg = runner.cfg._cfg_dict.to_dict()
    loader, wrapper = _part(cfg, 'train_dataloader'), _part(cfg, 'optim_wrapper')
    optimizer = _part(wrapper, 'optimizer')
    views: list[Any] = []
    data = _without_views(loader.get('dataset'), views)
    hooks = [hook for hook in cfg.get('custom_hooks') or [] if _name(hook) not in _WATCHERS]
    scaled = _part(cfg, 'auto_scale_lr')
    parts = {
        'batch size': loader.get('batch_size'),
        'number of processes': get_world_size(),
        'data size': len(runner.train_loop.dataloader.dataset),
        'data': fingerprint(data),
        'order of the samples': fingerprint([loader.get(key) for key in ('sampler', 'batch_sampler', 'drop_last')]),
        'augmentation': fingerprint([views, cfg.get('data_preprocessor')]),
        'accumulation': wrapper.get('accumulative_counts', 1),
        'learning rate': optimizer.get('lr'),
        'optimizer': fingerprint([{**wrapper, 'accumulative_counts': 1, 'optimizer': {**optimizer, 'lr': 0}}, scaled]),
        'schedule': fingerprint(cfg.get('param_scheduler')),
        'objective': fingerprint(cfg.get('model')),
        'teachers': _teachers(runner.model),
        'custom hooks': fingerprint(hooks),
    }
    seed = _part(cfg, 'randomness').get('seed')
    return parts if seed is None else {**parts, 'seed': seed}


def _part(parent: Any, key: str) -> dict:
    part = parent.get(key)
    return part if isinstance(part, dict) else {}


def _without_views(part: Any, views: list) -> Any:
    """A data set's config without what draws the views of its samples, which goes into a list."""
    if isinstance(part, (list, tuple)):
        return [_without_views(item, views) for item in part]
    if not isinstance(part, dict):
        return part
    views += [part[key] for key in _VIEWS if key in part]
    return {key: _without_views(value, views) for key, value in part.items() if key not in _VIEWS}


def fingerprint(part: Any) -> str:
    """A text that tells a part of a config from others; files count by name alone, as they may have moved."""
    return digest([json.dumps(_plain(part), sort_keys=True, default=_name)])[:12]


def _plain(part: Any, key: Any = None) -> Any:
    if isinstance(part, dict):
        return {str(name): _plain(value, name) for name, value in part.items() if name != 'init_cfg'}
    if isinstance(part, (list, tuple)):
        return [_plain(item, key) for item in part]
    if key in _FILES:
        return bool(part)
    return osp.basename(part.rstrip('/')) if key in _PLACES and isinstance(part, str) else part


def _name(part: Any) -> str:
    """The name of a type, of a config's type, or of an object's."""
    kind = part.get('type') if isinstance(part, dict) else part
    if isinstance(kind, str):
        return kind.rpartition('.')[2]
    return getattr(kind, '__name__', type(kind).__name__)


def _teachers(model: Any) -> str:
    """Fingerprint of the frozen teachers, wherever their checkpoints lie."""
    model = unwrap_model(model)
    members = model.members.frozen.values() if isinstance(model, Distiller) else ()
    return digest([weights_key(member.network) for member in members])[:12]


def _told(name: str, there: Any, here: Any) -> str:
    plain = all(isinstance(value, (int, float)) for value in (there, here))
    return f'{name} ({there} there, {here} here)' if plain else name


def _listed(names: Any) -> str:
    *first, last = names
    return f'{", ".join(first)} and {last}' if first else last
