"""Tabulate finished runs: ``python -m analysis.build_table ROOT``.

Reads every run below ROOT, arranges methods and pairs, and sets the paper's figures beside ours: by itself on
CIFAR-100, elsewhere where ``--beside`` names the pair of the paper whose ordering is to be compared::

    python -m analysis.build_table work_dirs/grid --beside resnet14_resnet8=resnet110_resnet20 \
        --out docs/table.md --plot docs/table.png

With ``--detectors`` it tabulates AP and AP50 of detectors, beside the paper's figures on COCO.
"""

import argparse
import os.path as osp
import sys
from collections.abc import Sequence
from pathlib import Path

from analysis import detection
from analysis.collect import ACCURACY, AP, collect
from analysis.markdown import caption, read_notes, report
from analysis.plots.seeds import draw_seeds
from analysis.plots.tables import draw_tables
from analysis.tables import arrange
from shake_mm import cli
from shake_mm.errors import UsageError
from shake_mm.grid.provenance import describe
from shake_mm.reports import add_output_arguments, claim_outputs, write_page


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Define and parse the command line."""
    parser = cli.ArgumentParser(description='Tabulate finished runs beside the figures of the paper')
    parser.add_argument('root', help='folder with work directories at any depth')
    parser.add_argument('--data', help='data set, as in the names of configs; needed where ROOT holds several')
    parser.add_argument('--detectors', action='store_true', help='tabulate AP and AP50 of detectors')
    parser.add_argument('--best', action='store_true', help='take the best validation of each run, not the last')
    parser.add_argument(
        '--beside',
        nargs='+',
        default=[],
        metavar='OURS=PAPER',
        help="show the paper's pair PAPER beside our pair OURS, e.g. resnet14_resnet8=resnet110_resnet20",
    )
    add_output_arguments(
        parser, 'write the table to this Markdown file, not to the console', 'draw an image into this file'
    )
    parser.add_argument('--notes', help='Markdown file to put under the title, with what the figures mean')
    parser.add_argument('--title', default='Comparison of distillers', help='title of page and image')
    parser.add_argument('--debug', action='store_true', help='show the traceback of an error')
    return parser.parse_args(argv)


def build(args: argparse.Namespace) -> None:
    """Collect the runs, arrange them in tables, and write the page."""
    claim_outputs(args, args.notes)
    collection = collect(args.root, args.data, args.best, AP if args.detectors else ACCURACY)
    if not collection.records:
        reasons = f' ({"; ".join(collection.left_out)})' if collection.left_out else ''
        raise UsageError(
            f'there is no finished run{f" on {args.data}" if args.data else ""} below {args.root}{reasons}.'
        )
    tables = arrange(collection.records, read_mapping(args.beside))
    what, draw, write = (
        (detection.WHAT, draw_seeds, detection.report)
        if args.detectors
        else ('Top-1 accuracy in %', draw_tables, report)
    )
    intro = read_notes(args.notes)
    if args.plot:
        draw(tables, args.plot, f'{args.title}\n{caption(collection, args.best, what)}')
        if args.out:
            intro.append(f'![{args.title}]({osp.relpath(args.plot, osp.dirname(args.out) or ".")})')
    page = write(tables, collection, args.title, args.best, intro, describe(Path(args.root)))
    if args.out:
        write_page(args.out, page, 'analysis.build_table')
    else:
        print(page, end='')


def read_mapping(pairs: Sequence[str]) -> dict[str, str]:
    """Read ``OURS=PAPER`` pairs.

    Raises:
        UsageError: If one of them has another form.
    """
    for pair in pairs:
        if pair.count('=') != 1:
            raise UsageError(f"--beside: write OURS=PAPER, e.g. resnet14_resnet8=resnet110_resnet20, not '{pair}'.")
    return dict(pair.split('=') for pair in pairs)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    return cli.run(build, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
