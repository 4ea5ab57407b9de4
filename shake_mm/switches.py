"""Switches of the command line that rewrite a config: exact resume, batches on the device, cached teachers."""

import hashlib
import os.path as osp
from typing import Any

from mmengine.config import Config

from .datasets.views import views_in
from .errors import UsageError
from .options import CACHES as CACHES


def make_exact(cfg: Config) -> None:
    """Make the run resume exactly: random draws by (seed, epoch, sample), and a loop that continues within an epoch."""
    loop, loader = cfg.train_cfg, cfg.train_dataloader
    kinds = {key: type_name(part.get('type')) for key, part in (('train_cfg', loop), ('sampler', loader.sampler))}
    if not (loop.get('by_epoch') or kinds['train_cfg'] == 'EpochBasedTrainLoop'):
        raise UsageError('--exact needs a training by epochs: set train_cfg.by_epoch=True and train_cfg.max_epochs')
    if kinds['sampler'] != 'DefaultSampler':
        raise UsageError(
            f'--exact does not know how train_dataloader.sampler={kinds["sampler"]} draws: use DefaultSampler'
        )
    cfg.train_cfg = dict(type='shake_mm.ExactTrainLoop', **{k: loop[k] for k in loop if k not in ('type', 'by_epoch')})
    loader.dataset = dict(type='shake_mm.SeededDataset', dataset=loader.dataset)
    batches = dict(type='shake_mm.SeededBatchSampler', drop_last=loader.pop('drop_last', False))
    if loader.get('batch_sampler') is not None:
        batches['batch_sampler'] = loader.batch_sampler
    loader.batch_sampler = batches
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='shake_mm.PreemptionHook')]


def make_batched(cfg: Config) -> None:
    """Keep the training set on the device as one tensor, see :class:`shake_mm.datasets.BatchedViews`.

    Raises:
        UsageError: If the pipeline draws what that does not, or something wraps the data set.
    """
    loader = cfg.train_dataloader
    dataset = _innermost(loader, '--batched')
    before, views = views_in(dataset.pipeline)
    loader.dataset = dict(type='shake_mm.BatchedViews', dataset={**dataset, 'pipeline': before}, **views)
    loader.num_workers, loader.persistent_workers, loader.pin_memory = 0, False, False
    loader.collate_fn = dict(type='shake_mm.as_batch')
    loader.pop('prefetch_factor', None)


def make_cached(cfg: Config, folder: str) -> None:
    """Cache the logits of every frozen teacher in its own folder, see :class:`shake_mm.members.CachedMember`.

    Args:
        cfg (Config): A distillation config.
        folder (str): The parent of those folders, which are named after the teachers' checkpoints.

    Raises:
        UsageError: If there is no teacher, or the views of the pipeline are not known.
    """
    teachers = cfg.model.get('teachers') or ()
    teachers = [teachers] if isinstance(teachers, dict) else list(teachers)
    frozen = [t for t in teachers if isinstance(t, dict) and t.get('checkpoint') and not t.get('trainable')]
    if not frozen:
        raise UsageError('--cache-teachers: the config has no frozen teacher with a checkpoint: leave it out')
    for teacher in frozen:
        teacher.setdefault('cache', osp.join(folder, _cache_name(teacher['checkpoint'])))
    cfg.model.teachers = teachers
    hooks = list(cfg.get('custom_hooks') or [])
    if not any(hook.get('type') == 'shake_mm.TeacherCacheHook' for hook in hooks):
        cfg.custom_hooks = [*hooks, dict(type='shake_mm.TeacherCacheHook')]
    if type_name(cfg.train_dataloader.dataset.type) != 'BatchedViews':
        dataset = _innermost(cfg.train_dataloader, '--cache-teachers')
        before, views = views_in(dataset.pipeline)
        keys = ('sample_idx', 'view_idx')
        pipeline = [*before, dict(type='shake_mm.RandomView', **views), dict(type='PackInputs', meta_keys=keys)]
        dataset.pipeline = pipeline


def _cache_name(checkpoint: str) -> str:
    """The end of a checkpoint's path, for people, and a fingerprint of the whole, since others may end alike."""
    path = osp.normpath(checkpoint)
    parts = [part for part in osp.splitext(path)[0].split(osp.sep) if part not in ('', 'work_dirs')]
    return f'{"-".join(parts[-3:])}-{hashlib.sha256(path.encode()).hexdigest()[:8]}'


def type_name(kind: str | type | None) -> str | None:
    """Return the name of a part's type without its scope; pure Python configs hold the class."""
    return kind.rpartition('.')[2] if isinstance(kind, str) else getattr(kind, '__name__', None)


def _innermost(loader: Any, switch: str) -> Any:
    """Return the innermost data set of a loader; wrappers that change its items are refused."""
    dataset = loader.dataset
    while type_name(dataset.type) == 'ContrastDataset' and switch == '--cache-teachers':
        dataset = dataset.dataset
    if 'pipeline' not in dataset:
        raise UsageError(f'{switch} does not know the views of a {type_name(dataset.type)}: leave it out')
    return dataset
