"""Norms and shares of every loss in the gradient, at trunk and head: ``python -m analysis.gradients CONFIG``.

Trains the config for some steps without leaving anything behind, measures in the last ones at several layers of the
student, loss by loss, and prints tables. A detector's boxes stand beside its classes, so that it shows where
distillation outweighs them::

    python -m analysis.gradients configs/kd/kd_faster-rcnn-r18-w32_faster-rcnn-r18-w8_digit-scenes.py --steps 200
"""

import argparse
import sys
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from analysis.markdown import EMPTY
from shake_mm import cli
from shake_mm.checks import build_runner
from shake_mm.cli.common import load_config
from shake_mm.engine import Distiller
from shake_mm.engine.gradient_shares import ShareMeter, Shares, trunk_end
from shake_mm.errors import UsageError
from shake_mm.reports import add_output_arguments, claim_outputs, write_page

ROWS = ('roi_head.bbox_head.shared_fcs', 'bbox_head.cls_convs', 'bbox_head.reg_convs')
"""Rows of layers in mmdet's heads, of which the last one is measured."""


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options of the command line."""
    parser = cli.ArgumentParser(prog='python -m analysis.gradients', description='Norms and shares of every loss')
    parser.add_argument('config', help='a distillation config')
    parser.add_argument('--places', nargs='+', help="layers of the student (the trunk's end and its heads)")
    parser.add_argument('--steps', type=int, default=20, help='steps of training (20)')
    parser.add_argument('--measure', type=int, default=10, help='how many of them, at the end, are measured (10)')
    parser.add_argument('--work-dir', default='work_dirs/gradients', help='folder of the log')
    add_output_arguments(parser, 'write the tables as Markdown')
    cli.add_common_arguments(parser)
    args = parser.parse_args(argv)
    if not 1 <= args.measure <= args.steps:
        parser.error(f'argument --measure: {args.measure} of {args.steps} steps: give 1 up to as many as --steps')
    return args


class Measure(Hook):
    """Opens a meter in each of the last steps, and ends the training after them.

    Args:
        steps (int): Of the training.
        measured (int): How many of them are measured.
        places (sequence of str, optional): Layers of the student. Defaults to the trunk's end and the heads.
    """

    def __init__(self, steps: int, measured: int, places: Sequence[str] | None) -> None:
        self.first, self.steps, self.places = steps - measured, steps, places
        self.found: list[list[Shares]] = []
        self._meter: ShareMeter | None = None

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Open the meter in the last steps of the training."""
        model = runner.model
        if runner.iter >= self.first:
            places = self.places or default_places(model)
            self._meter = ShareMeter(model, by_term=False, places=places)

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Keep what the step has shown, and stop after the last one."""
        if self._meter is None:
            return
        self._meter.close()
        if self._meter.error is not None:
            raise self._meter.error
        self.found.append(self._meter.found)
        self._meter = None
        if runner.iter + 1 >= self.steps:
            raise Measured


class Measured(Exception):
    """Ends a training whose steps have all been measured."""


def default_places(model: Distiller) -> list[str]:
    """The end of the student's trunk, and what its heads are made of, as far as it goes by these names."""
    layers = dict(model.student.named_modules())
    lists = [name for name in ROWS if isinstance(layers.get(name), nn.ModuleList) and len(layers[name])]
    last = [f'{name}.{len(layers[name]) - 1}' for name in lists]
    return [trunk_end(model), *last, *(['rpn_head.rpn_conv'] if 'rpn_head.rpn_conv' in layers else [])]


def measure(cfg: Config, args: argparse.Namespace) -> list[list[Shares]]:
    """Train for some steps, and measure in the last of them.

    Returns:
        list[list[Shares]]: For each measured step, at each place.

    Raises:
        UsageError: If the config is no distillation, or ends before.
    """
    cfg.work_dir = args.work_dir
    cfg.custom_hooks = [hook for hook in cfg.get('custom_hooks') or [] if 'GradientShareHook' not in str(hook.type)]
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.default_hooks = {**(cfg.get('default_hooks') or {}), 'checkpoint': None}
    runner: Runner = build_runner(cfg, 'train')
    if not isinstance(runner.model, Distiller):
        raise UsageError('config: its model is no distillation: name one that has `teachers`.')
    if runner.max_iters < args.steps:
        raise UsageError(f'--steps {args.steps}: the config trains for {runner.max_iters}: give as many or fewer.')
    hook = Measure(args.steps, args.measure, args.places)
    runner.register_hook(hook)
    try:
        runner.train()
    except Measured:
        return hook.found
    raise UsageError(f'--steps {args.steps}: the training ended after {runner.iter}: give as many or fewer.')


def table(found: Sequence[Shares]) -> str:
    """One place's losses as a Markdown table, means over the measured steps, the largest first.

    Args:
        found (sequence of Shares): At one place, step by step.
    """
    names = dict.fromkeys(name for each in found for name in each.norms)
    means = {
        name: (fmean(each.norms.get(name, 0.0) for each in found), fmean(each.shares.get(name, 0.0) for each in found))
        for name in names
    }
    lines = [f'| at {found[0].place} | norm | share |', '|---|---:|---:|']
    for name, (norm, share) in sorted(means.items(), key=lambda item: -item[1][0]):
        lines.append(f'| {name} | {norm:.3g} | {f"{100 * share:.1f} %" if norm else EMPTY} |')
    return '\n'.join(lines)


def run(args: argparse.Namespace) -> None:
    """Run the command with the parsed options."""
    claim_outputs(args, args.config)
    found = measure(load_config(args.config, args.cfg_options), args)
    text = '\n\n'.join(table(at_place) for at_place in zip(*found))
    first = args.steps - args.measure + 1
    head = f'Steps {first} to {args.steps} of `{args.config}`: means of the norms of the gradients.'
    print(f'{head}\n\n{text}')
    if args.out:
        write_page(args.out, f'# Gradients of the losses\n\n{head}\n\n{text}\n', 'analysis.gradients')


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    return cli.run(run, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
