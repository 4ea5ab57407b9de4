"""The price of every method's step: ``python -m benchmarks.methods``.

Every file of ``configs/_base_/methods`` that has a cell on the digits' pair is timed, each beside KD and beside a plain
PyTorch loop that computes the same losses (``benchmarks.plain_methods``). The three take turns; ratios are within a
round. Of several stages the mean counts, weighted by their epochs. The optimizer is SGD for all, also of DOT::

    python -m benchmarks.methods --out work_dirs/methods.json --resume
    python -m benchmarks.methods --only at crd shake --rounds 5
"""

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.cells import stage_models
from benchmarks.plain_methods import MethodLoop
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
Times = dict[str, dict[str, list[float]]]


def cells() -> dict[str, Path]:
    """The first cell of each method's file on the digits' pair, by the file's stem; those of several teachers last."""
    folder, found = Path(compat.configs_dir()), {}
    for pair in PAIRS:
        for path in sorted(folder.glob(f'*/*_{pair}.py')):
            text = path.read_text(encoding='utf-8')
            method = re.search(r'methods/(\w+)\.py', text)
            if method and 'augments/' not in text:
                found.setdefault(method[1], path)
    return found


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Define and parse the command line."""
    parser = argparse.ArgumentParser(description="Time every method's step beside KD's and a plain loop's")
    parser.add_argument('--only', nargs='+', metavar='METHOD', help='files of configs/_base_/methods (all)')
    parser.add_argument('--batch-size', type=int, default=64, help='images a batch (64)')
    parser.add_argument('--image-size', type=int, default=16, help='height and width (16)')
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
    known = cells()
    for name in args.only or ():
        if name not in known:
            raise UsageError(f"--only: '{name}' has no cell on the digits: choose of {', '.join(sorted(known))}.")
    options = ('batch_size', 'image_size', 'rounds', 'steps', 'warmup', 'threads', 'device', 'clock')
    setting = {key: getattr(args, key) for key in options}
    done = _resumed(args, setting)
    for name in args.only or known:
        if name in done:
            continue
        done[name] = measure(cli.load_config(str(known[name]), args.cfg_options), known['kd'], **setting)
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
    reference: Path,
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
        reference (Path): The cell of KD.
        batch_size (int): Images a batch.
        image_size (int): Height and width.
        rounds (int): How often the three take their turn.
        steps (int): Steps a turn, of which the median counts.
        warmup (int): Steps of each before the first round.
        threads (int): Threads of torch.
        device (str): Device of torch.
        clock (str): ``'wall'`` or ``'cpu'``.

    Returns:
        dict: Spreads of the seconds, and of the ratios ``'/kd'`` and ``'/plain'``.
    """
    size = (batch_size, image_size, device)
    contenders: dict[tuple[str, int], Step] = {}
    shares: dict[tuple[str, int], float] = {}
    with threads_of(threads):
        for i, stage in enumerate(stage_models(cli.load_config(str(reference)), *size)):
            contenders['kd', i], shares['kd', i] = train_step(stage.model, stage.data), stage.share
        for i, (ours, plain) in enumerate(zip(stage_models(cfg, *size), stage_models(cfg, *size))):
            contenders['ours', i] = train_step(ours.model, ours.data)
            contenders['plain', i] = MethodLoop(plain.model, plain.data, device)
            shares['ours', i] = shares['plain', i] = ours.share
        turns = take_turns(contenders, rounds, steps, warmup, timer(device, clock))
    means = {
        name: [sum(shares[key] * turns[key][turn] for key in contenders if key[0] == name) for turn in range(rounds)]
        for name in ('ours', 'kd', 'plain')
    }
    figures = {name: Spread.of(values) for name, values in means.items()}
    figures |= {f'/{name}': Spread.of(paired(means, 'ours', (name,))) for name in ('kd', 'plain')}
    return {name: list(spread) for name, spread in figures.items()}


def show(done: Mapping[str, dict], console: Console, setting: Mapping[str, Any]) -> None:
    """Print a row a method, dearest over its plain loop first."""
    table = Table(title=f'A step of each method ({setting["clock"]} clock); ratios: median (least to most)')
    for name in ('method', 'ms', 'over KD', 'plain loop, ms', 'over the plain loop'):
        table.add_column(name, justify='left' if name == 'method' else 'right')
    for name in sorted(done, key=lambda name: -done[name]['/plain'][0]):
        row = done[name]
        ratios = ['{:.2f} ({:.2f} to {:.2f})'.format(*row[key]) for key in ('/kd', '/plain')]
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
