"""Compare NST and RKD with their usual form: ``python -m benchmarks.compare_losses``.

Forward and backward pass of both, time and peak memory; how they are taken is described in
``benchmarks.loss_cost``. RKD is measured on pooled features and on flattened maps.
"""

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks import loss_cost
from shake_mm import cli


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Define and parse the command line."""
    parser = argparse.ArgumentParser(description='Compare NST and RKD with their usual form')
    parser.add_argument('--batch-size', type=int, default=64, help='samples (64)')
    parser.add_argument('--channels', type=int, default=256, help='channels of student and teacher (256)')
    parser.add_argument('--size', type=int, default=8, help='height and width of the maps (8)')
    parser.add_argument('--rounds', type=int, default=5, help='how often each time is taken (5)')
    parser.add_argument('--threads', type=int, default=1, help='threads of torch (1)')
    parser.add_argument('--device', default='cpu', help='device of torch (cpu)')
    parser.add_argument('--debug', action='store_true', help='show the traceback of an error')
    return parser.parse_args(argv)


def benchmark(args: argparse.Namespace) -> None:
    """Measure all losses and print the table."""
    pooled = (args.batch_size, args.channels)
    maps = (*pooled, args.size, args.size)
    table = Table(title=f'Forward and backward pass, batch {args.batch_size}, {args.device}, {args.threads} thread(s)')
    for name in ('loss', 'features', 'ms', 'naive ms', 'ratio', 'MiB', 'naive MiB', 'ratio'):
        table.add_column(name, justify='left' if name in ('loss', 'features') else 'right')
    for loss, shape in (('NST', maps), ('RKD', pooled), ('RKD', maps)):
        ours, naive = (
            loss_cost.cost_of(loss, form, shape, args.device, args.rounds, args.threads) for form in ('ours', 'naive')
        )
        table.add_row(loss, ' x '.join(map(str, shape[1:])), *row(ours, naive))
    Console().print(table)


def row(ours: loss_cost.Cost, naive: loss_cost.Cost) -> list[str]:
    """The figures of one row; a ratio says how many times the usual form takes ours."""
    cells = []
    for a, b, digits in ((1000 * ours.seconds, 1000 * naive.seconds, 2), (ours.mebibytes, naive.mebibytes, 1)):
        cells += [f'{a:.{digits}f}', f'{b:.{digits}f}', f'{b / a:.1f}' if a > 0 else '-']
    return cells


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    return cli.run(benchmark, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
