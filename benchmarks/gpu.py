"""All that a GPU is to show, in one command and a budget of minutes: ``python -m benchmarks.gpu --minutes 8``.

Correctness of training steps on the device, a profile of a step, the table of steps, detectors, a distillation from end
to end, and the step of every method, the most valuable first. What is done is kept in ``gpu.json`` after each part, and
``gpu.md`` is the page of it; the same command goes on where it stopped. It runs on a processor too, where it shows that
it works. What it needs beside torch and this checkout is in ``requirements/gpu.txt``.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import methods, step_time
from benchmarks.gpu_checks import CHECKS, Bench, best_device
from benchmarks.gpu_page import page
from benchmarks.gpu_profile import profile_step
from benchmarks.gpu_training import pair_file, teacher_of, train
from shake_mm import atomic, cli, compat
from shake_mm.errors import UsageError
from shake_mm.grid.provenance import commit, hardware

PARTS = ('correctness', 'profile', 'table', 'detectors', 'training', 'methods')
LOST = 'what was measured is lost'
DETECTORS = ('retinanet-r101_retinanet-r50', 'faster-rcnn-r101_faster-rcnn-r50')
"""Pairs of the size that people train."""
SHADOWS = ('kd/kd', 'shake/shake', 'shake/shake-tower', 'shake/shake-linear')
"""Folder and stem of their cells."""
Unit = Callable[[float], dict[str, Any]]


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Define and parse the command line."""
    parser = argparse.ArgumentParser(description='Measure a GPU within a budget of time')
    parser.add_argument('--minutes', type=float, default=8, help='how long it may take (8)')
    parser.add_argument('--out', default='work_dirs/gpu', help='folder of gpu.json and gpu.md (work_dirs/gpu)')
    parser.add_argument('--runs', default='work_dirs/gpu_runs', help='folder of the training runs (work_dirs/gpu_runs)')
    parser.add_argument('--parts', nargs='+', choices=PARTS, default=PARTS, help='what to measure (all)')
    parser.add_argument('--pair', default='resnet110_resnet20_cifar100', help='pair of the steps (…_cifar100)')
    parser.add_argument(
        '--train', default='resnet110_resnet20_digits100-32px', help='pair that is trained (…_digits100-32px)'
    )
    parser.add_argument('--epochs', type=int, default=10, help='epochs of each training (10)')
    parser.add_argument('--batch-size', type=int, default=64, help='images a batch (64)')
    parser.add_argument('--image-size', type=int, default=32, help='height and width (32)')
    parser.add_argument('--rounds', type=int, default=10, help='how often the rows of the table take their turn (10)')
    parser.add_argument('--device', help='device of torch (the GPU if there is one)')
    cli.add_common_arguments(parser)
    return parser.parse_args(argv)


def measure(args: argparse.Namespace) -> None:
    """Do what is not done yet, until the time is over."""
    end = time.monotonic() + 60 * args.minutes
    device, folder = args.device or best_device(), Path(args.out)
    teacher_of(args.train)  # a pair that is not there is told before anything is measured
    folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(_pair(args.pair, args.cfg_options), device, args.batch_size, args.image_size)
    setting = dict(pair=args.pair, train=args.train, batch_size=args.batch_size, image_size=args.image_size)
    record = _begun(folder / 'gpu.json', {**setting, **_machine(device)})
    for name, unit in units(args, bench):
        if 'error' not in record['units'].get(name, {'error': 'not begun'}):
            continue
        left = end - time.monotonic()
        if left <= 0:
            print(f'{name}: no time left, call the same command again')
            break
        start = time.monotonic()
        try:
            found = unit(left)
        except Exception as error:  # one part must not cost the others
            found = {'error': f'{type(error).__name__}: {error}'.strip()[:500]}
        record['units'][name] = {**found, 'took': round(time.monotonic() - start, 1)}
        print(f'{name}: {found.get("error") or "done"} ({record["units"][name]["took"]} s)')
        _keep(folder, record)
    _keep(folder, record)


def units(args: argparse.Namespace, bench: Bench) -> Iterator[tuple[str, Unit]]:
    """The parts, one piece after the other: each is given the seconds that are left."""
    for name, check in CHECKS.items():
        if 'correctness' in args.parts:
            yield f'correctness/{name}', lambda left, check=check: check(bench).as_dict()
    for method in ('shake', 'kd'):
        if 'profile' in args.parts:
            yield f'profile/{method}', lambda left, method=method: profile_step(bench, method)
    if 'table' in args.parts:
        yield 'table/steps', lambda left: _steps(args, bench)
    if 'detectors' in args.parts and find_spec('mmcv._ext'):
        yield 'detectors/miniature', lambda left: _miniature(args, bench)
        for pair in DETECTORS:
            yield f'detectors/{pair}', lambda left, pair=pair: _detectors(args, bench, pair)
            yield f'detectors/shadows of {pair}', lambda left, pair=pair: _shadows(args, bench, pair)
    for name in ('teacher', 'cached', 'live'):
        if 'training' in args.parts:
            yield f'training/{name}', partial(_train, name, args)
    if 'methods' in args.parts:
        known = methods.cells()
        for name, path in known.items():
            yield f'methods/{name}', lambda left, path=path: _method(args, bench, path, known['kd'])


def _train(name: str, args: argparse.Namespace, left: float) -> dict[str, Any]:
    return train(name, args.train, Path(args.runs).absolute(), args.epochs, left)


def _steps(args: argparse.Namespace, bench: Bench) -> dict[str, Any]:
    """All rows, with a teacher that is looked up, and compiled."""
    with TemporaryDirectory() as folder:
        return _table(args, bench, cache=folder, lean=True)


def _table(args: argparse.Namespace, bench: Bench, **rows: Any) -> dict[str, Any]:
    timing = step_time.measure(
        dict(config=dict(bench.pair)),
        bench.pair['teachers'][0]['config'],
        batch_size=bench.batch_size,
        image_size=bench.image_size,
        **_turns(args, bench),
        **rows,
    )
    return timing.as_dict()


def _miniature(args: argparse.Namespace, bench: Bench) -> dict[str, Any]:
    """The digits' RetinaNets, if the operators of mmcv were built."""
    pair = 'retinanet-r18-w32_retinanet-r18-w8_digit-scenes'
    own = bench._replace(pair=_pair(pair, None), batch_size=min(16, args.batch_size), image_size=96)
    return _table(args, own)


def _detectors(args: argparse.Namespace, bench: Bench, pair: str) -> dict[str, Any]:
    """KD and SHAKE beside mmdet's own steps, on pictures of noise with boxes; smaller ones on a processor."""
    return _table(args, bench._replace(pair=_pair(f'{pair}_2x_coco', None), **_size(args, bench)))


def _shadows(args: argparse.Namespace, bench: Bench, pair: str) -> dict[str, Any]:
    """The shadows of a detector, and KD, beside each other."""
    folder, options = Path(compat.configs_dir()), {'model.student.backbone.init_cfg': None}
    files = {name.partition('/')[2]: folder / f'{name}_{pair}_2x_coco.py' for name in SHADOWS}
    cells = {name: cli.load_config(str(path), options) for name, path in files.items()}
    return step_time.measure_cells(cells, **_size(args, bench), **_turns(args, bench)).as_dict()


def _method(args: argparse.Namespace, bench: Bench, path: Path, reference: Path) -> dict[str, Any]:
    """A method's step on the digits' pair, beside KD's and a plain loop's."""
    options = dict(batch_size=args.batch_size, image_size=16, threads=1, clock='wall', **_turns(args, bench))
    return methods.measure(cli.load_config(str(path)), reference, **options)


def _size(args: argparse.Namespace, bench: Bench) -> dict[str, Any]:
    cuda = bench.device.startswith('cuda')
    return dict(batch_size=min(8 if cuda else 1, args.batch_size), image_size=512 if cuda else 64)


def _turns(args: argparse.Namespace, bench: Bench) -> dict[str, Any]:
    return dict(rounds=args.rounds, steps=3, warmup=3, device=bench.device)


def _pair(name: str, options: Any) -> Any:
    return cli.load_config(str(pair_file(name)), options)


def _machine(device: str) -> dict[str, Any]:
    facts = hardware(device)
    facts.pop('load_average')
    return {**facts, 'commit': commit()}


def _begun(path: Path, setting: dict[str, Any]) -> dict[str, Any]:
    """What is there of the same setting, else nothing.

    Raises:
        UsageError: If the file is of another setting, or no record.
    """
    if not path.exists():
        return {'setting': setting, 'units': {}}
    try:
        record = json.loads(path.read_text(encoding='utf-8'))
        known = dict(record['setting'])
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(f"--out: '{path}' is no record of this command: name another folder.") from None
    other = [key for key in setting if known.get(key) != setting[key]]
    if other:
        raise UsageError(
            f"--out: '{path}' was measured with {other[0]}={known.get(other[0])}, and this is {setting[other[0]]}: "
            'name another folder.'
        )
    return record


def _keep(folder: Path, record: dict[str, Any]) -> None:
    """Write what is known, complete or not at all."""
    atomic.write(folder / 'gpu.json', (json.dumps(record, indent=2) + '\n').encode(), LOST)
    atomic.write(folder / 'gpu.md', page(record).encode(), LOST)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    return cli.run(measure, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
