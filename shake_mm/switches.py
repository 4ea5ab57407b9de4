"""Switches of the command line that rewrite a config: exact resume, batches on the device, teachers, TTA."""

import copy
import hashlib
import os.path as osp
from collections.abc import Callable, Sequence
from typing import Any

from mmengine.config import Config, ConfigDict

from .datasets.batched_pipeline import batches_in
from .datasets.views import views_in
from .datasets.wrapped import KEEPING, innermost_configs
from .errors import UsageError
from .options import CACHES as CACHES
from .registry import type_name


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
    """Keep the training set on the device as one tensor, see :class:`shake_mm.datasets.batched.BatchedImages`.

    Raises:
        UsageError: If the pipeline draws what that does not, or something wraps the data set.
    """
    loader = cfg.train_dataloader
    datasets, before, drawn = _drawn_by(loader.dataset, '--batched', KEEPING, batches_in)
    for dataset in datasets:
        dataset.pipeline = before
    loader.dataset = dict(dataset=loader.dataset, **drawn)
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
    if not any(type_name(hook.get('type')) == 'TeacherCacheHook' for hook in hooks):
        cfg.custom_hooks = [*hooks, dict(type='shake_mm.TeacherCacheHook')]
    if type_name(cfg.train_dataloader.dataset.type) != 'BatchedViews':
        wrappers = (*KEEPING, 'ContrastDataset')
        datasets, before, views = _drawn_by(cfg.train_dataloader.dataset, '--cache-teachers', wrappers, views_in)
        pack = dict(type='PackInputs', meta_keys=('sample_idx', 'view_idx'))
        for dataset in datasets:
            dataset.pipeline = [*before, dict(type='shake_mm.RandomView', **views), pack]


def make_shared(cfg: Config, seat: str) -> None:
    """Share the passes of the frozen teachers with other runs, see :class:`shake_mm.SharedTeacherHook`.

    Args:
        cfg (Config): A distillation config.
        seat (str): The run's place in its group.
    """
    hook = dict(type='shake_mm.SharedTeacherHook', seat=seat)
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), hook]


FLIPS = [dict(type='RandomFlip', prob=1.0), dict(type='RandomFlip', prob=0.0)]


def make_tta(cfg: Config) -> None:
    """Test with augmentation: the config's ``tta_model`` and ``tta_pipeline``, else the mean over the mirrored image.

    Args:
        cfg (Config): Of a classifier, a detector, or a distiller, of which the student is tested.

    Raises:
        UsageError: If its data sets have several pipelines, and it does not say which one is meant.
    """
    detects = cfg.get('default_scope') == 'mmdet'
    datasets = innermost_configs(cfg.test_dataloader.dataset)
    if cfg.get('tta_pipeline') is None:
        pipelines = [dataset.get('pipeline') or () for dataset in datasets]
        if not pipelines[0] or any(pipeline != pipelines[0] for pipeline in pipelines):
            raise UsageError(
                '--tta: the data sets of test_dataloader have no pipeline, or different ones: add tta_pipeline'
            )
        *before, last = copy.deepcopy(pipelines[0])
        if detects and last.get('meta_keys') is not None:  # what turns boxes back
            last['meta_keys'] = tuple(dict.fromkeys([*last['meta_keys'], 'flip', 'flip_direction']))
        cfg.tta_pipeline = [*before, dict(type='TestTimeAug', transforms=[FLIPS, [last]])]
    if cfg.get('tta_model') is None:
        merged = dict(tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100))
        cfg.tta_model = dict(type='DetTTAModel', **merged) if detects else dict(type='AverageClsScoreTTA')
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    for dataset in datasets:
        dataset.pipeline = cfg.tta_pipeline
        if dataset.get('batch_shapes_cfg') is not None:  # which fixes the size of images, whatever their pipeline does
            dataset.batch_shapes_cfg = None


def _cache_name(checkpoint: str) -> str:
    """The end of a checkpoint's path, for people, and a fingerprint of the whole, since others may end alike."""
    path = osp.normpath(checkpoint)
    parts = [part for part in osp.splitext(path)[0].split(osp.sep) if part not in ('', 'work_dirs')]
    return f'{"-".join(parts[-3:])}-{hashlib.sha256(path.encode()).hexdigest()[:8]}'


def _drawn_by(
    dataset: Any, switch: str, wrappers: Sequence[str], read: Callable[[Any], tuple[list[dict], dict[str, Any]]]
) -> tuple[list[Any], list[dict], dict[str, Any]]:
    """The data sets within one, and what their pipelines have in common: how images are loaded, and what is drawn.

    Args:
        dataset (dict): The config of a loader's data set.
        switch (str): Who asks.
        wrappers (sequence of str): Types of wrappers that leave images as they are.
        read (callable): Reads a pipeline.

    Raises:
        UsageError: If the views are not known, or not the same.
    """
    _check_wrappers(dataset, switch, wrappers)
    datasets = innermost_configs(dataset)
    first, *others = [read(inner.pipeline) for inner in datasets]
    if any(other != first for other in others):
        raise UsageError(f'{switch}: the joined data sets have different pipelines: give all the same, or leave it out')
    return datasets, *first


def _check_wrappers(dataset: Any, switch: str, wrappers: Sequence[str]) -> None:
    inner = dataset.get('datasets') or [dataset[key] for key in ('dataset',) if key in dataset]
    kind = type_name(dataset.get('type'))
    if (inner and kind not in wrappers) or not (inner or 'pipeline' in dataset):
        raise UsageError(f'{switch} does not know the views of a {kind}: leave it out')
    for child in inner:
        _check_wrappers(child, switch, wrappers)
