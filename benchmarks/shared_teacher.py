"""Students that share a teacher, or have one each: ``python -m benchmarks.shared_teacher CONFIG …``.

They take steps on one batch of noise, in turns all live and all sharing, all processes at once on the same cores::

    python -m benchmarks.shared_teacher configs/kd/kd_resnet110_resnet20_cifar100.py \
        configs/shake/shake_resnet110_resnet20_cifar100.py --students 4
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.cells import stage_models
from benchmarks.compare_steps import ImageSize, sizes
from benchmarks.plain_loops import noise_batch
from benchmarks.step_time import Spread
from benchmarks.training import quiet, train_step
from shake_mm import cli
from shake_mm.grid.provenance import hardware
from shake_mm.members import Group, make_group, share_teachers
from shake_mm.reports import add_output_arguments, claim_outputs, write_record

ROWS = {'live': 'each its own teacher', 'shared': 'one teacher for all'}


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Define and parse the command line."""
    parser = cli.ArgumentParser(description='Measure what students gain that share a teacher')
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='distillation configs of one teacher, in turns')
    parser.add_argument('--students', type=int, default=4, help='processes (4)')
    parser.add_argument('--steps', type=int, default=4, help='steps a turn (4)')
    parser.add_argument('--rounds', type=int, default=3, help='turns of each way (3)')
    parser.add_argument('--batch-size', type=int, help="images a batch (default: the config's)")
    parser.add_argument('--image-size', type=int, nargs='+', action=ImageSize, help="(default: the config's)")
    add_output_arguments(parser, 'also write the figures to this JSON file')
    cli.add_common_arguments(parser)
    return parser.parse_args(argv)


def student(link: Connection, cfg: Any, size: dict[str, Any], seat: str, steps: int, others: Sequence[int]) -> None:
    """Be one student: take steps whenever told how, and say how much processor time they took."""
    for handle in others:
        os.close(handle)
    torch.set_num_threads(1)
    with quiet():
        *_, stage = stage_models(cfg, **size, device='cpu')
        torch.manual_seed(0)
        pair = size['image_size']
        pair = (pair, pair) if isinstance(pair, int) else pair
        data = noise_batch(stage.model.student, size['batch_size'], pair)
    group = Group(seat)
    members = share_teachers(stage.model.members, stage.model.taps, group)
    step, number = train_step(stage.model, data), 0
    link.send(0.0)
    while (way := link.recv()) is not None:
        begin = time.process_time()
        for _ in range(steps):
            group.enter(number)
            for member in members:
                member.step = number if way == 'shared' else None
            step()
            number += 1
        link.send(time.process_time() - begin)
    group.leave()


def measure(cfgs: Sequence[Any], size: dict[str, Any], students: int, steps: int, rounds: int) -> dict[str, Any]:
    """Seconds of a step of all students, elapsed and of the processor, and the ratios within a round.

    Returns:
        dict: By ``'wall'`` and ``'cpu'``, a :class:`Spread` of each way and of live over shared.
    """
    context, pipes, processes = multiprocessing.get_context('fork'), [], []
    seconds: dict[str, dict[str, list[float]]] = {clock: {way: [] for way in ROWS} for clock in ('wall', 'cpu')}
    memory = Path('/dev/shm')
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        handles = make_group(Path(folder), [f'student {number}' for number in range(students)])
        for number in range(students):
            here, there = context.Pipe()
            own = (there, cfgs[number % len(cfgs)], size, f'{folder}/{number}', steps)
            others = [handle for handle in handles if handle != handles[number]]
            processes.append(context.Process(target=student, args=(*own, others), daemon=True))
            processes[-1].start()
            there.close()
            pipes.append(here)
        for handle in handles:
            os.close(handle)
        for pipe in pipes:
            pipe.recv()
        for turn in range(rounds + 1):  # the first one warms up
            for way in ROWS:
                begin = time.perf_counter()
                for pipe in pipes:
                    pipe.send(way)
                cpu = sum(pipe.recv() for pipe in pipes)
                if turn:
                    seconds['wall'][way].append((time.perf_counter() - begin) / steps)
                    seconds['cpu'][way].append(cpu / steps)
        for pipe, process in zip(pipes, processes):
            with suppress(BrokenPipeError):
                pipe.send(None)
            process.join()
    return {clock: _spreads(ways) for clock, ways in seconds.items()}


def _spreads(ways: dict[str, list[float]]) -> dict[str, Spread]:
    ratios = [live / shared for live, shared in zip(ways['live'], ways['shared'])]
    return {**{way: Spread.of(values) for way, values in ways.items()}, 'live/shared': Spread.of(ratios)}


def benchmark(args: argparse.Namespace) -> None:
    """Measure, print the figures, and write them to a file if one is given."""
    claim_outputs(args, *args.configs)
    cfgs = [cli.load_config(path, args.cfg_options) for path in args.configs]
    size = sizes(args, cfgs[0])
    figures = measure(cfgs, size, args.students, args.steps, args.rounds)
    console, load = Console(), os.getloadavg()[0]
    for clock, rows in figures.items():
        table = Table(title=f'Seconds of a step of {args.students} students ({clock})')
        for name in ('', 'median', 'min', 'max'):
            table.add_column(name, justify='right' if name else 'left')
        for key, row in rows.items():
            table.add_row(ROWS.get(key, key), *(f'{value:.3f}' for value in row))
        console.print(table)
    setting = dict(students=args.students, steps=args.steps, rounds=args.rounds, load=round(load, 1), **size)
    setting |= hardware('cpu')
    console.print(', '.join(f'{key} {value}' for key, value in setting.items()), highlight=False)
    if args.out is not None:
        plain = {clock: {key: row._asdict() for key, row in rows.items()} for clock, rows in figures.items()}
        write_record(args.out, {'setting': setting, **plain}, 'benchmarks.shared_teacher')


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    return cli.run(benchmark, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
