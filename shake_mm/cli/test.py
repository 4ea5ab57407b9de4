"""Evaluate a checkpoint: ``python tools/test.py CONFIG CHECKPOINT``."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import mmengine
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.evaluator import DumpResults
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

from .. import switches
from ..checks import build_runner
from ..engine import Distiller, MemberPredictor
from ..errors import UsageError
from ..hooks import MemberEvalHook
from ..outputs import claim, claim_folder
from ..utils import unwrap_model
from . import common
from .parsers import parse_test as parse_args


def merge_args(cfg: Config, args: argparse.Namespace) -> None:
    """Merge the command line into the config, in place."""
    for field in ('test_dataloader', 'test_evaluator', 'test_cfg'):
        if cfg.get(field) is None:
            raise UsageError(f'config {args.config} has no {field}: add it')
    common.set_work_dir(cfg, args)
    common.set_launcher(cfg, args)
    cfg.load_from, cfg.load_from_key = common.existing_checkpoint(args.checkpoint), args.key
    if args.amp:
        cfg.test_cfg.fp16 = True
    if args.show or args.show_dir is not None:
        enable_visualization(cfg, args)
    if args.tta:
        if args.member is not None:
            raise UsageError(f'--tta tests the student, and --member {args.member} another: leave out one of them')
        switches.make_tta(cfg)
    if cfg.get('default_scope') == 'mmpretrain':
        cfg.test_dataloader.setdefault('collate_fn', dict(type='default_collate'))
    if args.no_pin_memory:
        cfg.test_dataloader.pin_memory = False


def enable_visualization(cfg: Config, args: argparse.Namespace) -> None:
    """Switch on the visualization hook of mmpretrain or mmdet."""
    hook = cfg.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise UsageError(f'--show and --show-dir need default_hooks.visualization in config {args.config}')
    hook.update(show=args.show, wait_time=args.wait_time, interval=args.interval)
    if switches.type_name(hook.type) == 'DetVisualizationHook':
        hook.update(draw=True, test_out_dir=args.show_dir)
    else:
        hook.update(enable=True, out_dir=args.show_dir)


class DumpHook(Hook):
    """Writes the predictions that the evaluator gets, also where that would not compute one metric more.

    Args:
        path (str): Of the pickle file.
    """

    def __init__(self, path: str) -> None:
        self.metric = DumpResults(out_file_path=path)

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Keep a batch's predictions until all are there."""
        samples = [sample.to_dict() if isinstance(sample, BaseDataElement) else sample for sample in outputs]
        self.metric.process(data_batch, samples)

    def after_test_epoch(self, runner: Runner, metrics: Any = None) -> None:
        """Write them all, of all processes."""
        self.metric.evaluate(len(runner.test_dataloader.dataset))


def test(args: argparse.Namespace) -> None:
    """Build the runner, test, and write the results that were asked for."""
    dump_predictions = args.out is not None and args.out_item == 'pred'
    if dump_predictions and not args.out.endswith(('.pkl', '.pickle')):
        raise UsageError(f'--out {args.out} must end in .pkl to hold predictions; --out-item metrics takes .json too')
    if args.out is not None:
        claim(args.out, '--out', args.overwrite, inputs=[args.config, args.checkpoint])
    if args.show_dir is not None:
        claim_folder(args.show_dir, '--show-dir', args.overwrite)
    cfg = common.load_config(args.config, args.cfg_options)
    merge_args(cfg, args)
    runner = build_runner(cfg, 'test')
    if dump_predictions:
        runner.register_hook(DumpHook(args.out))
    if args.member is not None:
        evaluate_member(runner, args)
    metrics = runner.test()
    if args.out is not None and args.out_item == 'metrics' and is_main_process():
        mmengine.dump(metrics, args.out)


def evaluate_member(runner: Runner, args: argparse.Namespace) -> None:
    """Let the test loop evaluate another member than the student."""
    if not isinstance(unwrap_model(runner.model), Distiller):
        raise UsageError(f'--member needs the config of a distiller, but {args.config} has none: leave it out')
    MemberPredictor(runner.model, args.member)  # an unknown one is refused before anything runs
    hook = next((hook for hook in runner.hooks if isinstance(hook, MemberEvalHook)), None)
    if hook is None:
        runner.register_hook(MemberEvalHook(args.member))
    else:
        hook.member = args.member


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    return common.run(test, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
