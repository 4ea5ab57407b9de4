"""Compare the time of training steps in one process: ``python -m benchmarks.compare_steps``.

Rows and what they include are described in ``benchmarks.steps``, their memory in
``benchmarks.memory``. The CIFAR pair of the paper's cost study::

    python -m benchmarks.compare_steps --student-config configs/baseline/resnet20_cifar100.py \
        --teacher-config configs/baseline/resnet110_cifar100.py

With what a user would take instead, and with the teacher looked up::

    python -m benchmarks.compare_steps --mmrazor --cached \
        --pair configs/_base_/pairs/resnet110_resnet20_cifar100.py

Forms of a method, on one pair; ratios are over the first of them::

    python -m benchmarks.compare_steps --cells configs/kd/kd_resnet14_resnet8_digits100.py \
        configs/shake/shake*_resnet14_resnet8_digits100.py

Detectors, of our pairs or of mmdet's configs::

    python -m benchmarks.compare_steps \
        --pair configs/_base_/pairs/retinanet-r18-w32_retinanet-r18-w8_digit-scenes.py
"""

import argparse
import os.path as osp
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import step_time
from benchmarks.plot import draw_times
from benchmarks.steps import ROWS
from benchmarks.training import METHODS
from shake_mm import cli, compat
from shake_mm.errors import UsageError
from shake_mm.members import MemberSpec
from shake_mm.reports import add_output_arguments, claim_outputs, write_record
from shake_mm.tasks import task_of

PAIR = osp.join('_base_', 'pairs', 'resnet14_resnet8_digits100.py')


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Define and parse the command line."""
    parser = argparse.ArgumentParser(description='Compare the time of training steps')
    parser.add_argument('--pair', help=f'config with `model` and `teachers` (default: {PAIR})')
    parser.add_argument('--student-config', help="config of the student, instead of the pair's")
    parser.add_argument('--teacher-config', help="config of the teacher, instead of the pair's")
    parser.add_argument('--cells', nargs='+', help='distillation configs of one pair to compare with each other')
    parser.add_argument(
        '--methods',
        nargs='+',
        choices=list(METHODS),
        help='which of ours (default: all, for detectors KD and SHAKE)',
    )
    parser.add_argument('--mmrazor', action='store_true', help="also time mmrazor's SingleTeacherDistill")
    parser.add_argument('--lean', action='store_true', help='also time SHAKE with a fused optimizer, and compiled')
    parser.add_argument(
        '--cached', action='store_true', help='also time KD and SHAKE with a cache of 50,000 images in 162 views'
    )
    parser.add_argument('--batch-size', type=int, help="images a batch (default: the pair's, else 64)")
    parser.add_argument(
        '--image-size',
        type=int,
        nargs='+',
        action=ImageSize,
        help="height and width, or one number for both (default: the pair's, else 32, or 256 for detectors)",
    )
    parser.add_argument('--rounds', type=int, default=15, help='how often all rows take their turn (15)')
    parser.add_argument('--steps', type=int, default=5, help='steps a turn (5)')
    parser.add_argument('--warmup', type=int, default=5, help='steps of each row before the first round (5)')
    parser.add_argument('--threads', type=int, default=1, help='threads of torch (1)')
    parser.add_argument('--device', default='cpu', help='device of torch (cpu)')
    parser.add_argument('--clock', choices=['wall', 'cpu'], default='wall', help='elapsed time, or processor time')
    add_output_arguments(parser, 'also write the figures to this JSON file', 'also draw them to this image')
    cli.add_common_arguments(parser)
    return parser.parse_args(argv)


def benchmark(args: argparse.Namespace) -> None:
    """Measure, print the figures, and write them to a file if one is given."""
    claim_outputs(args, args.pair, args.student_config, args.teacher_config, *(args.cells or ()))
    options = {key: getattr(args, key) for key in ('rounds', 'steps', 'warmup', 'threads', 'device', 'clock')}
    if args.cells is not None:
        cells = {Path(path).stem.partition('_')[0]: cli.load_config(path, args.cfg_options) for path in args.cells}
        cfg = next(iter(cells.values()))
        timing = step_time.measure_cells(cells, **options, **sizes(args, cfg))
        report(timing, args)
        return
    if (args.student_config is None) != (args.teacher_config is None):
        raise UsageError('--student-config and --teacher-config belong together: give both, or --pair')
    path = args.student_config or args.pair or osp.join(compat.configs_dir(), PAIR)
    cfg = cli.load_config(path, args.cfg_options)
    teacher = args.teacher_config or cfg.teachers[0].config
    with TemporaryDirectory() if args.cached else nullcontext() as folder:
        timing = step_time.measure(
            dict(config=dict(cfg)),
            teacher,
            methods=args.methods,
            mmrazor=args.mmrazor,
            lean=args.lean,
            cache=folder,
            **options,
            **sizes(args, cfg),
        )
    report(timing, args)


def report(timing: step_time.Timing, args: argparse.Namespace) -> None:
    """Print the figures, and write and draw them where that is asked for."""
    show(timing, Console())
    if args.out is not None:
        write_record(args.out, timing.as_dict(), 'benchmarks.compare_steps')
    if args.plot is not None:
        draw_times(timing, args.plot)


def sizes(args: argparse.Namespace, cfg: dict) -> dict[str, Any]:
    """Batch and image size: the command line's, else the config's."""
    return dict(
        batch_size=args.batch_size or cfg.get('train_dataloader', {}).get('batch_size', 64),
        image_size=args.image_size or image_size_of(cfg),
    )


class ImageSize(argparse.Action):
    """An option that takes one number or two."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: list, *_: Any) -> None:
        """Store a number, or a pair of them."""
        if len(values) > 2:
            parser.error('--image-size takes height and width')
        namespace.image_size = values[0] if len(values) == 1 else tuple(values)


def image_size_of(cfg: dict) -> int:
    """The image size of a config's data set, the task's where it does not say."""
    dataset = cfg.get('train_dataloader', {}).get('dataset', {})
    size = dataset.get('dataset', dataset).get('image_size')
    return size or task_of(MemberSpec.parse('student', dict(config=dict(cfg))).build()).input_size


def show(timing: step_time.Timing, console: Console) -> None:
    """Print times and memory, ratios, and the setting."""
    rows = Table(title=f'Time and memory of a step ({timing.setting["clock"]} clock)')
    for name in ('row', 'median ms', 'min', 'max', 'peak MiB'):
        rows.add_column(name, justify='left' if name == 'row' else 'right')
    for key, spread in timing.seconds.items():
        times = [f'{1000 * value:.2f}' for value in spread]
        rows.add_row(ROWS.get(key, key), *times, f'{timing.bytes[key] / 2**20:.1f}')
    ratios = Table(title='Ratios within a round')
    for name in ('ratio', 'median', 'min', 'max'):
        ratios.add_column(name, justify='left' if name == 'ratio' else 'right')
    for key, spread in timing.ratios.items():
        ratios.add_row(key, *(f'{value:.3f}' for value in spread))
    console.print(rows, ratios)
    console.print(', '.join(f'{key} {value}' for key, value in timing.setting.items()), highlight=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    return cli.run(benchmark, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
