"""From the command line to the end of the first step: ``python -m benchmarks.start CONFIG``.

``tools/train.py`` stands beside the lines that mmengine asks for, which import the same package, since the config names
its parts, and check nothing::

    Runner.from_cfg(Config.fromfile(config)).train()

Each start is a process of its own, in turns; beside the elapsed time stands the processor's, which depends less on
what else a machine does.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from rich.console import Console
from rich.table import Table

from benchmarks.step_time import Spread
from shake_mm import cli
from shake_mm.grid.provenance import hardware
from shake_mm.reports import add_output_arguments, claim_outputs, write_record

PLAIN = """
import sys
import shake_mm
from mmengine.config import Config
from mmengine.runner import Runner
config = Config.fromfile(sys.argv[1])
config.work_dir = sys.argv[3]
Runner.from_cfg(config).train()
"""
WAYS = {
    'ours': ('tools/train.py', [sys.executable, '-m', 'shake_mm.cli.train']),
    'plain': ("mmengine's lines", [sys.executable, '-c', PLAIN]),
}


@HOOKS.register_module()
class FirstStepHook(Hook):
    """Ends the process after the first step, and tells when and after how much processor time.

    Args:
        file (str): Where it tells.
    """

    priority = 'VERY_LOW'

    def __init__(self, file: str) -> None:
        self.file = file

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Write both times and leave, without what a process does at its end."""
        Path(self.file).write_text(f'{time.time()} {time.process_time()}', encoding='utf-8')
        os._exit(0)


def start(way: str, config: Path, folder: Path) -> tuple[float, float]:
    """Seconds from a command line to the end of the first step: elapsed, and of the processor.

    Args:
        way (str): A key of :data:`WAYS`.
        config (Path): With a :class:`FirstStepHook` that writes ``FOLDER/first``.
        folder (Path): For that file and what the run writes.
    """
    told = folder / 'first'
    told.unlink(missing_ok=True)
    command = [*WAYS[way][1], str(config), '--work-dir', str(folder / way)]
    root = str(Path(__file__).resolve().parents[1])
    environ = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': root}
    begin = time.time()
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    if not told.exists():
        raise RuntimeError(f'{WAYS[way][0]} did not come to its first step:\n{done.stderr[-2000:]}')
    end, processor = map(float, told.read_text(encoding='utf-8').split())
    return end - begin, processor


def measure(cfg: Config, rounds: int) -> dict[str, dict[str, Spread]]:
    """Start a run in turns; by clock, a :class:`Spread` of each way and of the difference within a round."""
    seconds: dict[str, dict[str, list[float]]] = {clock: {way: [] for way in WAYS} for clock in ('wall', 'cpu')}
    with TemporaryDirectory() as name:
        folder = Path(name)
        hook = dict(type='FirstStepHook', file=str(folder / 'first'))
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), hook]
        cfg.custom_imports = dict(imports=['benchmarks.start'])
        cfg.dump(path := folder / 'run.py')
        for turn in range(rounds + 1):  # the first one fills the operating system's cache of files
            for way in WAYS:
                elapsed, processor = start(way, path, folder)
                if turn:
                    seconds['wall'][way].append(elapsed)
                    seconds['cpu'][way].append(processor)
    return {clock: _spreads(ways) for clock, ways in seconds.items()}


def _spreads(ways: dict[str, list[float]]) -> dict[str, Spread]:
    more = [ours - plain for ours, plain in zip(ways['ours'], ways['plain'])]
    return {**{way: Spread.of(values) for way, values in ways.items()}, 'ours - plain': Spread.of(more)}


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Define and parse the command line."""
    parser = cli.ArgumentParser(description='Measure how long a run takes to start')
    parser.add_argument('config', help='a config of tools/train.py')
    parser.add_argument('--rounds', type=int, default=5, help='starts of each (5)')
    add_output_arguments(parser, 'also write the figures to this JSON file')
    cli.add_common_arguments(parser)
    return parser.parse_args(argv)


def benchmark(args: argparse.Namespace) -> None:
    """Measure, print the figures, and write them to a file if one is given."""
    claim_outputs(args, args.config)
    figures, console = measure(cli.load_config(args.config, args.cfg_options), args.rounds), Console()
    for clock, rows in figures.items():
        table = Table(title=f'Seconds from the command line to the end of the first step ({clock})')
        for name in ('', 'median', 'min', 'max'):
            table.add_column(name, justify='right' if name else 'left')
        for key, row in rows.items():
            table.add_row(WAYS[key][0] if key in WAYS else key, *(f'{value:.2f}' for value in row))
        console.print(table)
    setting = dict(rounds=args.rounds, **hardware('cpu'))
    console.print(', '.join(f'{key} {value}' for key, value in setting.items()), highlight=False)
    if args.out is not None:
        plain = {clock: {key: row._asdict() for key, row in rows.items()} for clock, rows in figures.items()}
        write_record(args.out, {'setting': setting, **plain}, 'benchmarks.start')


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    return cli.run(benchmark, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
