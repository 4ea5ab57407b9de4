"""Time and error of every way to run a frozen teacher: ``python -m benchmarks.compare_teachers CONFIG``.

The teacher is the config's first, the student the checkpoint's if one is given, the images those of the validation
set::

    python -m benchmarks.compare_teachers configs/kd/kd_resnet14_resnet8_digits100.py --student epoch_20.pth
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import islice

import torch
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from rich.console import Console
from rich.table import Table

from benchmarks.teacher_switches import SWITCHES, Effect, effects
from benchmarks.throughput import CLOCKS
from benchmarks.training import quiet
from shake_mm import cli
from shake_mm.grid.provenance import hardware
from shake_mm.members import load_strictly, read_weights
from shake_mm.registry import MODELS
from shake_mm.reports import add_output_arguments, claim_outputs, write_record


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Define and parse the command line."""
    parser = cli.ArgumentParser(description='Measure the switches of a frozen teacher')
    parser.add_argument('config', help='a distillation config of classifiers, whose teacher is trained')
    parser.add_argument('--student', help='checkpoint of a trained student (default: random weights)')
    parser.add_argument('--switches', nargs='+', choices=list(SWITCHES), default=list(SWITCHES), help='which (all)')
    parser.add_argument('--batches', type=int, default=8, help='batches of the validation set (8)')
    parser.add_argument('--rounds', type=int, default=15, help='turns of each (15)')
    parser.add_argument('--threads', type=int, default=1, help='threads of torch (1)')
    parser.add_argument('--device', default=get_device(), help='device of torch')
    parser.add_argument('--clock', choices=list(CLOCKS), default='wall', help='elapsed or processor time')
    add_output_arguments(parser, 'also write the figures to this JSON file')
    cli.add_common_arguments(parser)
    return parser.parse_args(argv)


def benchmark(args: argparse.Namespace) -> None:
    """Measure, print the figures, and write them to a file if one is given."""
    claim_outputs(args, args.config, args.student)
    torch.set_num_threads(args.threads)
    cfg = cli.load_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope') or 'mmpretrain')
    cfg.model.setdefault('data_preprocessor', cfg.get('data_preprocessor'))
    with quiet():
        model = MODELS.build(cfg.model)
        model.init_weights()
    if args.student is not None:
        load_strictly(model.student, read_weights(args.student, '--student'), '--student', args.student)
    batches = list(islice(Runner.build_dataloader(cfg.val_dataloader, seed=0), args.batches))
    measured = effects(model, batches, args.switches, args.rounds, CLOCKS[args.clock], args.device)
    setting = dict(threads=args.threads, clock=args.clock, batch_size=cfg.val_dataloader.batch_size)
    setting.update(hardware(args.device))
    show(measured, setting)
    if args.out is not None:
        plain = {name: {**effect._asdict(), **_spreads(effect)} for name, effect in measured.items()}
        write_record(args.out, {'setting': setting, 'switches': plain}, 'benchmarks.compare_teachers')


def _spreads(effect: Effect) -> dict[str, dict[str, float]]:
    return {key: getattr(effect, key)._asdict() for key in ('seconds', 'ratio')}


def show(measured: dict[str, Effect], setting: dict) -> None:
    """Print the figures as a table."""
    table = Table(title=f'A pass of the teacher ({setting["clock"]} clock)')
    columns = ('switch', 'ms', '× float32', 'max |Δ logit|', 'same class %', 'accuracy %', 'T–S gap')
    for name in columns:
        table.add_column(name, justify='left' if name == 'switch' else 'right')
    for name, effect in measured.items():
        table.add_row(
            name,
            f'{1000 * effect.seconds.median:.1f}',
            f'{effect.ratio.median:.2f} ({effect.ratio.low:.2f}–{effect.ratio.high:.2f})',
            f'{effect.deviation:.2g}',
            f'{effect.agreement:.2f}',
            f'{effect.accuracy:.2f}',
            f'{effect.gap:.4f}',
        )
    console = Console()
    console.print(table)
    console.print(', '.join(f'{key} {value}' for key, value in setting.items()), highlight=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    return cli.run(benchmark, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
