"""Images a second of data pipelines and of whole runs: ``python -m benchmarks.compare_pipelines CONFIG``.

The first table sets the config's own pipeline beside ``--batched``, in one process. The second sets a run, with data,
hooks and logging, beside the bare training step, for the switches of ``tools/train.py`` that are given::

    python -m benchmarks.compare_pipelines configs/shake/shake_resnet14_resnet8_digits100.py --batched
"""

import argparse
import sys
from collections.abc import Sequence
from tempfile import TemporaryDirectory

import torch
from rich.console import Console
from rich.table import Table

from benchmarks import throughput
from benchmarks.step_time import Spread
from shake_mm import cli, switches
from shake_mm.grid.provenance import hardware
from shake_mm.reports import add_output_arguments, claim_outputs, write_record


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Define and parse the command line."""
    parser = cli.ArgumentParser(description='Measure images a second')
    parser.add_argument('config', help='a classification config')
    parser.add_argument('--batched', action='store_true', help='run with --batched')
    parser.add_argument('--cache-teachers', metavar='FOLDER', help='run with --cache-teachers FOLDER')
    parser.add_argument('--rounds', type=int, default=5, help='turns of each pipeline, and epochs of the run (5)')
    parser.add_argument('--threads', type=int, default=1, help='threads of torch (1)')
    parser.add_argument('--clock', choices=list(throughput.CLOCKS), default='wall', help='elapsed or processor time')
    add_output_arguments(parser, 'also write the figures to this JSON file')
    cli.add_common_arguments(parser)
    return parser.parse_args(argv)


def benchmark(args: argparse.Namespace) -> None:
    """Measure, print the figures, and write them to a file if one is given."""
    claim_outputs(args, args.config)
    torch.set_num_threads(args.threads)
    cfg, clock = cli.load_config(args.config, args.cfg_options), throughput.CLOCKS[args.clock]
    figures = {'pipelines': throughput.pipelines(cfg, args.rounds, clock)}
    if args.batched:
        switches.make_batched(cfg)
    if args.cache_teachers is not None:
        switches.make_cached(cfg, args.cache_teachers)
    with TemporaryDirectory() as folder:
        cfg.work_dir = folder
        figures['run'] = throughput.whole_run(cfg, args.rounds, clock)
    console = Console()
    for title, rows in figures.items():
        show(f'{title}: images a second ({args.clock} clock)', rows, console)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    setting = dict(threads=args.threads, clock=args.clock, **hardware(device))
    console.print(', '.join(f'{key} {value}' for key, value in setting.items()), highlight=False)
    if args.out is not None:
        plain = {title: {name: row._asdict() for name, row in rows.items()} for title, rows in figures.items()}
        write_record(args.out, {'setting': setting, **plain}, 'benchmarks.compare_pipelines')


def show(title: str, rows: dict[str, Spread], console: Console) -> None:
    """Print the figures as a table."""
    table = Table(title=title)
    for name in ('', 'median', 'min', 'max'):
        table.add_column(name, justify='right' if name else 'left')
    for name, spread in rows.items():
        digits = 2 if '/' in name else 0
        table.add_row(name, *(f'{value:,.{digits}f}' for value in spread))
    console.print(table)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    return cli.run(benchmark, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
