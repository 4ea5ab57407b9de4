"""Set a study of the paper beside our runs: ``python -m analysis.build_study ROOT --study table1 ...``.

ROOT is the folder of a grid (``tools/run_grid.py``). Times come from the JSON file of a benchmark of the same cells
(``python -m benchmarks.compare_steps --cells``), where all take turns in one process::

    python -m analysis.build_study work_dirs/grid --study table1 --pair resnet14_resnet8 \
        --times work_dirs/times.json --out docs/table1_digits100.md
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from analysis.collect import Collection, collect
from analysis.markdown import caption, page, read_notes
from analysis.studies import missing, render, studies
from analysis.tables import arrange
from shake_mm import cli
from shake_mm.errors import UsageError
from shake_mm.grid.provenance import describe
from shake_mm.reports import add_output_arguments, claim_outputs, write_page


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Define and parse the command line."""
    parser = cli.ArgumentParser(description='Set a study of the paper beside our runs')
    parser.add_argument('root', help='folder with work directories at any depth')
    parser.add_argument('--study', required=True, choices=list(studies()), help='which table of the paper')
    parser.add_argument('--pair', required=True, help="teacher and student, as in the configs' names: TEACHER_STUDENT")
    parser.add_argument('--data', help='data set, as in the names of configs; needed where ROOT holds several')
    parser.add_argument('--times', help='JSON file of a benchmark of cells')
    parser.add_argument('--notes', help='Markdown file to put under the title, with what the figures mean')
    add_output_arguments(parser, 'write to this Markdown file, not to the console')
    parser.add_argument('--debug', action='store_true', help='show the traceback of an error')
    return parser.parse_args(argv)


def build(args: argparse.Namespace) -> None:
    """Collect the runs, render the study, and write the page."""
    claim_outputs(args, args.times, args.notes)
    study, found = studies(args.pair)[args.study], collect(args.root, args.data)
    mine = [run for run in found.records if run.pair in (args.pair, *args.pair.split('_'))]
    collection = Collection([run for run in mine if run.method in study.rows or not run.method], [])
    if not any(run.method for run in collection.records):
        raise UsageError(f"there is no finished run of {args.study} on '{args.pair}' below {args.root}.")
    (table,) = arrange(collection.records)
    times, measured = read_times(args.times)
    teacher = table.rows.get('teacher')
    absent = missing(study, table)
    parts = [
        f'# {study.title}, in miniature',
        f'{args.pair.replace("_", " → ")}. {caption(collection, False, "Top-1 accuracy in %")}'
        + (f' The teacher has {teacher.accuracy:.2f} %.' if teacher else ''),
        *read_notes(args.notes),
        *render(study, table, times),
        measured,
        f'Not run: {", ".join(absent)}.' if absent else '',
        '\n'.join(f'- {line}' for line in describe(Path(args.root))),
    ]
    if args.out is None:
        print(page(parts), end='')
        return
    write_page(args.out, page(parts), 'analysis.build_study')


def read_times(path: str | None) -> tuple[dict[str, float], str]:
    """Times over KD's by method, and a sentence on how they were measured.

    Raises:
        UsageError: If the file is none of ``benchmarks.compare_steps --cells``.
    """
    if path is None:
        return {}, ''
    try:
        timing = json.loads(Path(path).read_text(encoding='utf-8'))
        setting, ratios = timing['setting'], timing['ratios']
        medians = {name: float(value['median']) for name, value in ratios.items() if name.endswith('/kd')}
        how = (
            f'median of {setting["rounds"]} rounds, batch {setting["batch_size"]}, {setting["threads"]} thread, '
            f'{setting["hardware"]}, torch {setting["torch"]}'
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise UsageError(
            f'--times: {path} is not what benchmarks.compare_steps --cells --out writes ({error}): give such a file.'
        ) from None
    times = {name.removesuffix('/kd'): median for name, median in medians.items()}
    return {**times, 'kd': 1.0}, (
        f"time / KD: a training’s steps in one process, in turns ({how}); the paper's is a whole training on an RTX "
        '2080 Ti.'
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    return cli.run(build, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
