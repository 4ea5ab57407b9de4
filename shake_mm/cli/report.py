"""Write the report of a run, or of several: ``python -m shake_mm report WORK_DIR``.

One HTML page that holds its pictures, and the same pictures as PNG files: the members' accuracies, the terms, their
shares of the gradient where they were logged, the gaps, time and memory, and the settings in which the runs differ.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .. import atomic
from ..outputs import claim, write_text
from ..run_report import figures_of, page_of, read
from ..run_report.page import png
from ..run_report.runs import flat
from . import common
from .parsers import parse_report as parse_args


def report(args: argparse.Namespace) -> None:
    """Read the runs, draw, and write the page and the pictures."""
    runs = [read(folder) for folder in args.work_dirs]
    base = None if args.base is None else flat(common.load_config(args.base).to_dict())
    figures = figures_of(runs, args.baseline)
    out = Path(args.out or Path(args.work_dirs[0]) / 'report')
    page, images = out / 'report.html', [out / f'{figure.name}.png' for figure in figures]
    for path in (page, *images):
        claim(path, '--out', args.overwrite)
    out.mkdir(parents=True, exist_ok=True)
    pictures = [(figure, png(figure)) for figure in figures]
    for path, (_, content) in zip(images, pictures):
        atomic.write(path, content, 'the report is not complete')
    write_text(page, page_of(runs, pictures, base))
    print(f'{page}: {len(figures)} figures of {len(runs)} run{"" if len(runs) == 1 else "s"}')


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    return common.run(report, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
