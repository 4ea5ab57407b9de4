"""Compute a config's frozen teachers' logits for every view of its training set: ``tools/cache_teacher.py CONFIG``.

Trainings of that config, and of others with the same teachers and data, then look them up::

    python tools/cache_teacher.py configs/shake/shake_resnet110_resnet20_cifar100.py
    python tools/train.py configs/shake/shake_resnet110_resnet20_cifar100.py --batched --cache-teachers

It may be stopped and started again, and several processes may share the work.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial

from mmengine.device import get_device
from mmengine.registry import init_default_scope
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from .. import switches
from ..checks import fit_views
from ..datasets.images import Images
from ..members.filling import fill
from ..registry import DATASETS, MODELS
from . import common
from .parsers import parse_cache_teacher as parse_args


def cache_teachers(args: argparse.Namespace) -> None:
    """Run the command with the parsed options."""
    device = args.device or get_device()
    common.check_device(device)
    cfg = common.load_config(args.config, args.cfg_options)
    switches.make_batched(cfg)
    switches.make_cached(cfg, args.folder)
    init_default_scope(cfg.get('default_scope') or 'mmpretrain')
    cfg.model.setdefault('data_preprocessor', cfg.get('data_preprocessor'))
    model = MODELS.build(cfg.model).to(device)
    fit_views(cfg, model, ['train_dataloader'])
    dataset = DATASETS.build(dict(cfg.train_dataloader.dataset, device=device))
    images = Images(dataset)
    columns = (TextColumn('{task.description}'), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn()) as progress:
        for member in model.members.cached:
            cache = member.open(images)
            task = progress.add_task(member.name, total=cache.shape[0] * cache.shape[1])
            tell = partial(progress.advance, task)
            fill(member, model.data_preprocessor, dataset, args.batch_size, tell)
            gigabytes = 2e-9 * cache.shape[0] * cache.shape[1] * cache.shape[2]
            progress.console.print(
                f'{member.name}: {cache.shape[0]} images in {cache.shape[1]} views, {gigabytes:.2f} GB in '
                f'{member.folder}',
                soft_wrap=True,
            )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    return common.run(cache_teachers, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
