"""The price of every method's step: ``python -m benchmarks.methods``.

Every file of ``configs/_base_/methods`` that has a cell on the digits' pair is timed, each beside KD and beside a plain
PyTorch loop that computes the same losses (``benchmarks.plain_methods``). The three take turns; ratios are within a
round. Of several stages the mean counts, weighted by their epochs. The optimizer is SGD for all, also of DOT::

    python -m benchmarks.methods --out work_dirs/methods.json --resume
    python -m benchmarks.methods --only at crd shake --rounds 5
    python -m benchmarks.methods --scenes --rounds 9 --steps 1

With ``--scenes`` those of detectors and segmentors are: every cell on drawn scenes, and one on COCO's networks of each
method that none of them has. KD beside it is that of the same networks, where there is one.
"""

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.cells import stage_models
from benchmarks.plain_methods import plain_loop
from benchmarks.step_time import Spread, paired, take_turns, threads_of, timer
from benchmarks.training import Step, train_step
from shake_mm import cli, compat
from shake_mm.errors import UsageError
from shake_mm.grid.provenance import hardware
from shake_mm.reports import add_output_arguments, claim_outputs, write_record

PAIRS = ('resnet14_resnet8_digits100', '3xresnet14_resnet8_digits100')
LIMIT = 1.05
"""What a step may cost, over that of the plain loop."""
TOOL = 'benchmarks.methods'
SCENES = {'digit-scenes': 16, 'digit-masks': 16, 'coco': 2}
"""Data of detectors and segmentors, and how many images a batch has: the drawn ones' own, and few of large networks."""


class Cell(NamedTuple):
    """A config that is timed.

    Args:
        path (Path): The config.
        reference (Path | None): KD of the same networks, where there is one.
        batch_size (int): Images a batch.
        image_size (int): Their height and width.
    """

    path: Path
    reference: Path | None
    batch_size: int
    image_size: int


def cells() -> dict[str, Cell]:
    """The first cell of each method's file on the digits' pair, by the file's stem; those of several teachers last."""
    found = {}
    for path in [path for pair in PAIRS for path in _configs(pair)]:
        method = method_of(path)
        if method is not None and 'augments/' not in path.read_text(encoding='utf-8'):
            found.setdefault(method, path)
    return {method: Cell(path, found['kd'], 64, 16) for method, path in found.items()}


def scenes() -> dict[str, Cell]:
    """Cells of detectors and segmentors by their stem: all on drawn scenes; on COCO one of each method without such.

    One of a one-stage detector, where the method has it: its step takes a quarter of the time.
    """
    found, methods = {}, set()
    for data, batch_size in SCENES.items():
        for path in sorted(_configs(data), key=lambda path: 'rcnn' in path.stem):
            method = method_of(path)
            if method is None or (data == 'coco' and method in methods):
                continue
            methods.add(method)
            reference = path.parents[1] / 'kd' / f'kd_{path.stem.partition("_")[2]}.py'
            found[path.stem] = Cell(path, reference if reference.is_file() else None, batch_size, 128)
    return found


def method_of(path: Path) -> str | None:
    """The file of ``configs/_base_/methods`` that a config takes, by its stem."""
    method = re.search(r'methods/(\w+)\.py', path.read_text(encoding='utf-8'))
    return method and method[1]


def _configs(end: str) -> list[Path]:
    return sorted(Path(compat.configs_dir()).glob(f'*/*_{end}.py'))


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Define and parse the command line."""
    parser = argparse.ArgumentParser(description="Time every method's step beside KD's and a plain loop's")
    parser.add_argument('--scenes', action='store_true', help='methods of detectors and segmentors')
    only = 'files of configs/_base_/methods, or with --scenes configs, by their stem (all)'
    parser.add_argument('--only', nargs='+', metavar='METHOD', help=only)
    parser.add_argument('--batch-size', type=int, help='images a batch (64; of scenes 16, with networks of COCO 2)')
    parser.add_argument('--image-size', type=int, help='height and width (16; of scenes 128)')
    parser.add_argument('--rounds', type=int, default=15, help='how often all three take their turn (15)')
    parser.add_argument('--steps', type=int, default=3, help='steps a turn, of which the median counts (3)')
    parser.add_argument('--warmup', type=int, default=3, help='steps before the first round (3)')
    parser.add_argument('--threads', type=int, default=1, help='threads of torch (1)')
    parser.add_argument('--device', default='cpu', help='device of torch (cpu)')
    parser.add_argument('--clock', choices=['wall', 'cpu'], default='cpu', help='processor time, or elapsed time')
    parser.add_argument('--resume', action='store_true', help='go on with what --out does not have yet')
    add_output_arguments(parser, 'write the figures to this JSON file, after each method')
    cli.add_common_arguments(parser)
    return parser.parse_args(argv)


def benchmark(args: argparse.Namespace) -> None:
    """Measure, print the table, and keep the figures after each method."""
    claim_outputs(args)
    known = scenes() if args.scenes else cells()
    for name in args.only or ():
        if name not in known:
            raise UsageError(f"--only: '{name}' has no cell: choose of {', '.join(sorted(known))}.")
    how = {key: getattr(args, key) for key in ('rounds', 'steps', 'warmup', 'threads', 'device', 'clock')}
    setting = dict(scenes=args.scenes, batch_size=args.batch_size, image_size=args.image_size, **how)
    done = _resumed(args, setting)
    for name in args.only or known:
        if name in done:
            continue
        cell = known[name]
        size = dict(batch_size=args.batch_size or cell.batch_size, image_size=args.image_size or cell.image_size)
        cfg = cli.load_config(str(cell.path), args.cfg_options)
        done[name] = measure(cfg, cell.reference, **size, **how)
        if args.out is not None:
            content = dict(options=setting, setting=hardware(args.device), methods=done)
            write_record(args.out, content, TOOL)
    show(done, Console(), setting)


def _resumed(args: argparse.Namespace, setting: Mapping[str, Any]) -> dict[str, dict]:
    """The methods that ``--out`` has already, if they were measured in the same way."""
    if not args.resume:
        return {}
    if args.out is None:
        raise UsageError('--resume goes on with the file of --out: give both.')
    if not Path(args.out).exists():
        return {}
    found = json.loads(Path(args.out).read_text(encoding='utf-8'))
    if found.get('options') != setting:
        raise UsageError(f'--resume: {args.out} was measured with other options: give the same, or another --out.')
    return found['methods']


def measure(
    cfg: Mapping[str, Any],
    reference: Path | None,
    *,
    batch_size: int,
    image_size: int,
    rounds: int,
    steps: int,
    warmup: int,
    threads: int,
    device: str,
    clock: str,
) -> dict[str, Any]:
    """Seconds and ratios of a method, KD and the method's plain loop.

    Args:
        cfg (dict): The method's cell.
        reference (Path, optional): The cell of KD.
        batch_size (int): Images a batch.
        image_size (int): Height and width.
        rounds (int): How often the three take their turn.
        steps (int): Steps a turn, of which the median counts.
        warmup (int): Steps of each before the first round.
        threads (int): Threads of torch.
        device (str): Device of torch.
        clock (str): ``'wall'`` or ``'cpu'``.

    Returns:
        dict: Spreads of the seconds, and of the ratios ``'/kd'`` (where that is timed too) and ``'/plain'``.
    """
    size = (batch_size, image_size, device)
    contenders: dict[tuple[str, int], Step] = {}
    shares: dict[tuple[str, int], float] = {}
    with threads_of(threads):
        for i, stage in enumerate(stage_models(cli.load_config(str(reference)), *size) if reference else ()):
            contenders['kd', i], shares['kd', i] = train_step(stage.model, stage.data), stage.share
        for i, (ours, plain) in enumerate(zip(stage_models(cfg, *size), stage_models(cfg, *size))):
            contenders['ours', i] = train_step(ours.model, ours.data)
            contenders['plain', i] = plain_loop(plain.model, plain.data, device)
            shares['ours', i] = shares['plain', i] = ours.share
        turns = take_turns(contenders, rounds, steps, warmup, timer(device, clock))
    means = {
        name: [sum(shares[key] * turns[key][turn] for key in contenders if key[0] == name) for turn in range(rounds)]
        for name in ('ours', *(['kd'] if reference else []), 'plain')
    }
    figures = {name: Spread.of(values) for name, values in means.items()}
    figures |= {f'/{name}': Spread.of(paired(means, 'ours', (name,))) for name in means if name != 'ours'}
    return {name: list(spread) for name, spread in figures.items()}


def show(done: Mapping[str, dict], console: Console, setting: Mapping[str, Any]) -> None:
    """Print a row a method, dearest over its plain loop first."""
    table = Table(title=f'A step of each method ({setting["clock"]} clock); ratios: median (least to most)')
    for name in ('method', 'ms', 'over KD', 'plain loop, ms', 'over the plain loop'):
        table.add_column(name, justify='left' if name == 'method' else 'right')
    for name in sorted(done, key=lambda name: -done[name]['/plain'][0]):
        row = done[name]
        ratios = ['{:.2f} ({:.2f} to {:.2f})'.format(*row[key]) if key in row else '–' for key in ('/kd', '/plain')]
        table.add_row(name, f'{1e3 * row["ours"][0]:.1f}', ratios[0], f'{1e3 * row["plain"][0]:.1f}', ratios[1])
    console.print(table)
    above = [name for name, row in done.items() if row['/plain'][0] > LIMIT]
    told = ', '.join(above) or 'none'
    console.print(f'{len(done)} methods; above {LIMIT} of the plain loop: {told}', highlight=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    return cli.run(benchmark, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
