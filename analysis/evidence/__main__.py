"""Run studies and write their pages: ``python -m analysis.evidence [STUDY …] --minutes 60``.

Each run ends in a record in ``results/STUDY.json``; a study goes on where it stopped. Without a study, or with a budget
of 0, only the pages are written. Fashion-MNIST must be there: ``make data``.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mmengine.device import get_device

from analysis.evidence import pages, summary
from analysis.evidence.studies import STUDIES, Study
from analysis.evidence.train import train
from shake_mm import cli
from shake_mm.errors import UsageError
from shake_mm.grid.runs import sigterm_interrupts

CIFAR = Path('data') / 'cifar100'
ROOT = Path(__file__).resolve().parents[2]


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options of the command line."""
    parser = cli.ArgumentParser(prog='python -m analysis.evidence', description='Run studies and write their pages')
    parser.add_argument('studies', nargs='*', metavar='STUDY', help=f'what to run: {", ".join(STUDIES)}')
    parser.add_argument('--gpu', action='store_true', help='all studies for accelerators whose data are there')
    parser.add_argument('--cpu', action='store_true', help='all other studies')
    parser.add_argument('--minutes', type=float, default=0, help='begin no run after so many minutes (0)')
    parser.add_argument('--jobs', type=int, default=1, help='trainings at a time (1)')
    parser.add_argument('--row', action='append', help='only this row; may be given several times')
    parser.add_argument('--pair', action='append', help='only this pair; may be given several times')
    parser.add_argument('--seed', action='append', type=int, help='only this seed; may be given several times')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/evidence'), help='folder of the runs')
    parser.add_argument('--debug', action='store_true', help='show the traceback of an error')
    return parser.parse_args(argv)


def chosen(args: argparse.Namespace) -> list[Study]:
    """The studies that the command line names, with the rows and seeds that it names."""
    studies = []
    for name in (*args.studies, *named(args.gpu, args.cpu)):
        if name not in STUDIES:
            raise UsageError(f'there is no study {name!r}: choose of {", ".join(STUDIES)}.')
        study = STUDIES[name]
        rows = tuple(row for row in study.rows if args.row is None or row.name in args.row)
        names = list(dict.fromkeys(row.name for row in study.rows))
        if not set(args.row or ()) <= set(names):
            raise UsageError(f'--row: {name} has the rows {", ".join(names)}: choose of them.')
        pairs = tuple(pair for pair in study.pairs if args.pair is None or pair in args.pair)
        if args.pair is not None and len(pairs) < len(set(args.pair)):
            raise UsageError(f'--pair: {name} has the pairs {", ".join(study.pairs)}: choose of them.')
        astray = [row for row in rows if args.row is not None and not any(map(row.fits, pairs))]
        if astray:
            fitting = ' and '.join(astray[0].pairs)
            raise UsageError(f'--row {astray[0].name} fits pairs of {fitting} alone: choose of them.')
        studies.append(replace(study, rows=rows, pairs=pairs, seeds=tuple(args.seed or study.seeds)))
    return studies


def named(gpu: bool, cpu: bool) -> list[str]:
    """The studies of a kind; of those that need a GPU, only those whose data are there.

    Raises:
        UsageError: If there is no GPU.
    """
    if gpu and get_device() == 'cpu':
        raise UsageError('--gpu: there is no accelerator, and each of these runs would take days: name other studies.')
    kinds = [kind for kind, wanted in ((True, gpu), (False, cpu)) if wanted]
    found = [study.name for study in STUDIES.values() if study.gpu in kinds]
    for name in [name for name in found if STUDIES[name].data == 'cifar100' and not CIFAR.is_dir()]:
        print(f'{name}: {CIFAR} is not there (tools/dataset_prepare.py cifar100), so it is left out')
        found.remove(name)
    return found


def run(args: argparse.Namespace) -> None:
    """Run the command with the parsed options."""
    end = time.monotonic() + 60 * args.minutes
    for study in chosen(args):
        with sigterm_interrupts():
            left = train(study, args.work_dir, (end - time.monotonic()) / 60, jobs=args.jobs)
        print(f'{study.name}: {left} runs are missing')
    for study in STUDIES.values():
        path = pages.write(study, ROOT / 'docs')
        if path is not None:
            print(f'written: {path}')
    for path in summary.write(ROOT):
        print(f'written: {path}')


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    return cli.run(run, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
