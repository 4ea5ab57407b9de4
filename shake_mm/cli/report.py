"""Write the report of a run, or of several: ``python -m shake_mm report WORK_DIR``.

One HTML page that holds its pictures, and the same pictures as PNG files: what was logged (accuracies, terms, their
shares of the gradient, gaps, time and memory), what the members say of pictures of the validation set (where they
differ, how sure they are, where they look), and the settings in which the runs differ.
"""

import argparse
import sys
from collections.abc import Sequence

from ..errors import UsageError
from ..run_report import write_report
from ..run_report.figures import sentence
from ..run_report.runs import flat
from . import common
from .parsers import parse_report as parse_args


def report(args: argparse.Namespace) -> None:
    """Read the runs, draw, and write the page and the pictures."""
    if args.images < 0:
        raise UsageError(f'--images {args.images}: there are no fewer than 0 pictures: give a number from 0 on.')
    if args.images:
        common.check_device(args.device)
    page, figures = write_report(
        args.work_dirs,
        args.out,
        baseline=args.baseline,
        base=None if args.base is None else flat(common.load_config(args.base).to_dict()),
        images=args.images,
        best=args.best,
        device=args.device,
        trust=args.trust,
        overwrite=args.overwrite,
    )
    print(f'{page}: {sentence(figures, "figure")} of {sentence(len(args.work_dirs), "run")}')


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    return common.run(report, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
