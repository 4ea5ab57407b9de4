"""Train a config over temperatures τ and balances λ, and draw the paper's Figure 4.

::

    python -m analysis.sweep configs/shake/shake_resnet14_resnet8_digits100.py --tau 1 2 4 8 \
        --lam 0.1 0.5 1 2 --seeds 0 1 2 --jobs 2 --out docs/sweep.md --plot docs/sweep.png

τ varies at the config's λ, λ at its τ. ``tools/run_grid.py`` trains, the teacher once for all; what is finished is not
trained again, so an interrupted sweep goes on when it is started again.
"""

import argparse
import os.path as osp
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from analysis.collect import Collection, collect
from analysis.markdown import arrow, caption, page
from analysis.plots.sweep import draw_sweep
from analysis.sensitivity import accuracies, default_point, lines, summary, table, write_configs
from shake_mm import cli
from shake_mm.errors import UsageError
from shake_mm.grid.provenance import describe
from shake_mm.grid.runs import sigterm_interrupts
from shake_mm.reports import add_output_arguments, claim_outputs, write_page

RUN_GRID = (sys.executable, '-m', 'shake_mm.cli.run_grid')


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Define and parse the command line."""
    parser = cli.ArgumentParser(description='Train a config over temperatures and balances, and draw it')
    parser.add_argument('config', help='config of a distiller with `tau` and `lam`')
    parser.add_argument('--tau', type=float, nargs='+', default=[1, 2, 4, 8], help='temperatures (1 2 4 8)')
    parser.add_argument('--lam', type=float, nargs='+', default=[0.1, 0.5, 1, 2], help='balances (0.1 0.5 1 2)')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2], help='seeds of each point (0 1 2)')
    parser.add_argument('--work-dir', default=osp.join('work_dirs', 'sweep'), help='folder of the runs')
    parser.add_argument('--jobs', type=int, default=2, help='trainings at a time (2)')
    parser.add_argument('--cfg-options', nargs='+', default=[], help='key=value pairs, as tools/run_grid.py takes them')
    add_output_arguments(
        parser, 'write the tables to this Markdown file, not to the console', 'draw an image into this file'
    )
    parser.add_argument('--title', default='Sensitivity to τ and λ', help='title of page and image')
    parser.add_argument('--debug', action='store_true', help='show the traceback of an error')
    return parser.parse_args(argv)


def sweep(args: argparse.Namespace, command: str) -> None:
    """Train all points, collect the runs, draw the plot, and write the page."""
    claim_outputs(args, args.config)
    default = default_point(cli.load_config(args.config).get('model', {}))
    swept = lines(default, args.tau, args.lam)
    points = list(dict.fromkeys(point for line in swept.values() for point in line))
    configs = write_configs(Path(args.config), points, Path(args.work_dir) / 'configs')
    methods = {point: path.stem.partition('_')[0] for point, path in configs.items()}
    train(args, configs.values())

    found = collect(args.work_dir)
    records = [run for run in found.records if run.method in methods.values() and run.seed in args.seeds]
    values = accuracies(records, methods)
    what = caption(Collection(records, []), False, 'Top-1 accuracy in %')
    intro = [f'# {args.title}', f'{arrow(records[0].pair)}. {what}']
    if args.plot:
        draw_sweep(swept, values, default, args.plot, f'{args.title}: {arrow(records[0].pair)}')
        if args.out:
            intro.append(f'![{args.title}]({osp.relpath(args.plot, osp.dirname(args.out) or ".")})')
    body = [part for name, line in swept.items() for part in (table(line, name, values), summary(line, name, values))]
    how = '\n'.join(f'- {line}' for line in (f'`{command}`', *describe(Path(args.work_dir))))
    text = page([*intro, *body, how])
    if args.out is None:
        print(text, end='')
        return
    write_page(args.out, text, 'analysis.sweep')


def train(args: argparse.Namespace, configs: Iterable[Path]) -> None:
    """Train all unfinished points by ``tools/run_grid.py``.

    Raises:
        UsageError: If it fails.
    """
    command = [*RUN_GRID, *map(str, configs), '--work-dir', args.work_dir]
    command += ['--jobs', str(args.jobs), '--seeds', *map(str, args.seeds)]
    command += ['--cfg-options', *args.cfg_options] if args.cfg_options else []
    with sigterm_interrupts(), subprocess.Popen(command) as process:
        try:
            status = process.wait()
        except KeyboardInterrupt:
            process.terminate()  # it stops the trainings
            raise
    if status:
        raise UsageError('not every point was trained, see above: start the sweep again to train what is missing.')


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    argv = sys.argv[1:] if argv is None else argv
    command = shlex.join(['python', '-m', 'analysis.sweep', *argv])
    return cli.run(lambda args: sweep(args, command), parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
