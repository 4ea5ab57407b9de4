"""The command lines of the demonstrations, without what they need to run, so that ``--help`` answers at once."""

import argparse
import os.path as osp
from collections.abc import Sequence

DETECTORS = {'retinanet': 'RetinaNet', 'faster-rcnn': 'Faster R-CNN'}


def add_arguments(parser: argparse.ArgumentParser, work_dir: str | None, seeds: Sequence[int]) -> None:
    """Add the options that every demonstration has.

    Args:
        parser (ArgumentParser): The tool's.
        work_dir (str, optional): Default folder; None where it depends on other options.
        seeds (sequence of int): Default seeds.
    """
    parser.add_argument('--work-dir', default=work_dir, help='folder of runs and results')
    parser.add_argument(
        '--seeds', type=int, nargs='+', default=list(seeds), help=f'seeds of the students ({" ".join(map(str, seeds))})'
    )
    parser.add_argument('--jobs', type=int, default=2, help='trainings at a time (2)')
    parser.add_argument('--fresh', action='store_true', help='train again what is finished')
    parser.add_argument('--overwrite', action='store_true', help='replace results that no demonstration wrote')
    parser.add_argument('--cfg-options', nargs='+', default=[], help='key=value pairs for all configs')


def parse_demo(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Define and parse the command line of :mod:`.demo`."""
    parser = argparse.ArgumentParser(description='Distill a small classifier and compare')
    add_arguments(parser, osp.join('work_dirs', 'demo'), seeds=(0, 1, 2))
    parser.add_argument('--rounds', type=int, default=20, help='rounds of the comparison of times (20)')
    parser.add_argument(
        '--pictures',
        choices=['garments', 'digits'],
        help='which (garments where `make data` put them, else digits)',
    )
    return parser.parse_args(argv)


def parse_demo_det(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Define and parse the command line of :mod:`.demo_det`."""
    parser = argparse.ArgumentParser(description='Distill a small detector and compare')
    parser.add_argument('--detector', choices=DETECTORS, default='retinanet', help='which detector (retinanet)')
    add_arguments(parser, work_dir=None, seeds=(0,))
    args = parser.parse_args(argv)
    if args.work_dir is None:
        name = 'demo-det' if args.detector == parser.get_default('detector') else f'demo-det-{args.detector}'
        args.work_dir = osp.join('work_dirs', name)
    return args
