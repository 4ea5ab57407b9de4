"""Train from a config: ``python tools/train.py CONFIG``."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext

import torch
from mmengine.config import Config
from mmengine.device import get_device

from .. import switches
from ..checks import build_runner, check_work_dir, launched_rank
from ..errors import UsageError
from ..hooks import DryRunOver
from ..locks import locked
from . import common
from .parsers import parse_train as parse_args

DATALOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def merge_args(cfg: Config, args: argparse.Namespace) -> None:
    """Merge the command line into the config, in place."""
    common.set_work_dir(cfg, args)
    common.set_launcher(cfg, args)
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.amp:
        enable_amp(cfg)
    if args.auto_scale_lr:
        if 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
            raise UsageError('--auto-scale-lr needs auto_scale_lr.base_batch_size in the config')
        cfg.auto_scale_lr.enable = True
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else common.existing_checkpoint(args.resume)
    if args.batched:
        switches.make_batched(cfg)
    if args.cache_teachers is not None and not args.dry_run:
        switches.make_cached(cfg, args.cache_teachers)
    if args.share_teacher is not None and not args.dry_run:
        switches.make_shared(cfg, args.share_teacher)
    if args.exact:
        switches.make_exact(cfg)
    for field in DATALOADERS:
        if isinstance(cfg.get(field), dict):
            set_dataloader_defaults(cfg, field, args)


def enable_amp(cfg: Config) -> None:
    """Switch the optimizer wrapper to automatic mixed precision."""
    if get_device() == 'cpu':
        raise UsageError('--amp needs an accelerator, and there is none: leave it out')
    if 'optimizer' not in cfg.get('optim_wrapper', {}):
        raise UsageError('--amp needs a config with one optimizer in optim_wrapper')
    if (kind := switches.type_name(cfg.optim_wrapper.get('type', 'OptimWrapper'))) not in (
        'OptimWrapper',
        'AmpOptimWrapper',
    ):
        raise UsageError(f'--amp makes optim_wrapper an AmpOptimWrapper, but the config has a {kind}: leave it out')
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def set_dataloader_defaults(cfg: Config, field: str, args: argparse.Namespace) -> None:
    """Fill in what OpenMMLab's training scripts fill in, as far as it is right for the task and the machine."""
    loader = cfg[field]
    # mmpretrain's data is stacked by its loader; everyone else's stays a list, which is mmengine's default.
    if cfg.get('default_scope') == 'mmpretrain':
        loader.setdefault('collate_fn', dict(type='default_collate'))
    loader.setdefault('pin_memory', torch.cuda.is_available())
    loader.setdefault('persistent_workers', True)
    if args.no_pin_memory:
        loader.pin_memory = False
    # torch refuses persistent workers where there are none.
    if args.no_persistent_workers or not loader.get('num_workers', 0):
        loader.persistent_workers = False


def dry_run(cfg: Config) -> None:
    """Build the runner, train a few steps in a folder that goes afterwards, and print what a whole training takes."""
    check_work_dir(cfg, 'train')
    cfg.resume = False
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='shake_mm.DryRunHook')]
    if cfg.get('visualizer') is not None:
        cfg.visualizer.vis_backends = []  # some write elsewhere, or to a server
    if cfg.get('default_hooks', {}).get('checkpoint') is not None:
        cfg.default_hooks.checkpoint.pop('out_dir', None)
    teachers = cfg.get('model', {}).get('teachers') or []
    for teacher in [teachers] if isinstance(teachers, dict) else teachers:
        if isinstance(teacher, dict):
            teacher.pop('cache', None)
    with tempfile.TemporaryDirectory() as cfg.work_dir:
        try:
            runner = build_runner(cfg, 'train')
            # What CheckpointHook says of a folder that goes would be all wrong.
            runner.logger.addFilter(lambda record: not record.getMessage().startswith('Checkpoints will be saved'))
            runner.train()
        except DryRunOver as over:
            print(f'dry run: {over}')


def train(args: argparse.Namespace) -> None:
    """Build the runner from the command line and train."""
    cfg = common.load_config(args.config, args.cfg_options)
    merge_args(cfg, args)
    if args.dry_run:
        return dry_run(cfg)
    # One lock for all processes of a job, which know their numbers by their launcher alone so far.
    with locked(cfg.work_dir, 'a training') if launched_rank(args.launcher) == 0 else nullcontext():
        build_runner(cfg, 'train').train()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    return common.run(train, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
