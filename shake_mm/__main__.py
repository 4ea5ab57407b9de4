"""The commands: ``python -m shake_mm COMMAND …``, ``shake-COMMAND …``, or the scripts in ``tools/``.

A command line is read before the command is imported, so ``--help``, and a wrong option, are answered at once.
"""

import sys
from collections.abc import Sequence
from importlib import import_module

from .cli import parsers
from .version import __version__

COMMANDS = {
    'train': ('train', 'train from a config'),
    'test': ('test', 'evaluate a checkpoint'),
    'export': ('export_student', 'write a distilled student as a plain model'),
    'deploy': ('deploy', 'write a trained student as ONNX or TorchScript'),
    'cache-teacher': ('cache_teacher', "compute the teachers' logits ahead of a training"),
    'grid': ('run_grid', 'train several configs over seeds'),
    'tune': ('tune', 'find a method and its weights within a budget of time'),
    'dataset-prepare': ('dataset_prepare', 'put a data set where the configs look for it'),
    'print-config': ('print_config', 'print a config, or write it as one file'),
    'report': ('report', 'write one page on a run: its curves, and what its members say'),
    'taps': ('taps', 'list the layers that a term can name'),
}
"""By name, the module of :mod:`shake_mm.cli`, and what it does."""


def start(module: str, argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Read the command line of a command, then import and run it.

    Args:
        module (str): Of :mod:`shake_mm.cli`.
        argv (sequence of str, optional): The command line. Defaults to the process's.
        prog (str, optional): How the command is called, for its usage.

    Returns:
        int: The exit status.
    """
    argv = sys.argv[1:] if argv is None else argv
    getattr(parsers, f'parse_{module}')(argv, prog)
    return import_module(f'.cli.{module}', __package__).main(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``python -m shake_mm COMMAND …`` and return the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    listed = ''.join(f'  {name:<16}{what}\n' for name, (_, what) in COMMANDS.items())
    parser = parsers.ArgumentParser(
        prog='python -m shake_mm',
        usage='%(prog)s COMMAND …',
        description=f'SHAKE for OpenMMLab. Commands, each of which has a --help of its own:\n\n{listed}',
        formatter_class=parsers.argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--version', action='version', version=__version__)
    parser.add_argument('command', metavar='COMMAND', choices=COMMANDS, help='one of these')
    args = parser.parse_args(argv[:1])
    return start(COMMANDS[args.command][0], argv[1:], f'{parser.prog} {args.command}')


def train(argv: Sequence[str] | None = None) -> int:
    """Run ``shake-train`` or ``tools/train.py``."""
    return start('train', argv)


def test(argv: Sequence[str] | None = None) -> int:
    """Run ``shake-test`` or ``tools/test.py``."""
    return start('test', argv)


def export_student(argv: Sequence[str] | None = None) -> int:
    """Run ``shake-export`` or ``tools/export_student.py``."""
    return start('export_student', argv)


def deploy(argv: Sequence[str] | None = None) -> int:
    """Run ``shake-deploy`` or ``tools/deploy.py``."""
    return start('deploy', argv)


def cache_teacher(argv: Sequence[str] | None = None) -> int:
    """Run ``shake-cache-teacher`` or ``tools/cache_teacher.py``."""
    return start('cache_teacher', argv)


def run_grid(argv: Sequence[str] | None = None) -> int:
    """Run ``shake-grid`` or ``tools/run_grid.py``."""
    return start('run_grid', argv)


def tune(argv: Sequence[str] | None = None) -> int:
    """Run ``shake-tune`` or ``tools/tune.py``."""
    return start('tune', argv)


def dataset_prepare(argv: Sequence[str] | None = None) -> int:
    """Run ``shake-dataset-prepare`` or ``tools/dataset_prepare.py``."""
    return start('dataset_prepare', argv)


def print_config(argv: Sequence[str] | None = None) -> int:
    """Run ``shake-print-config`` or ``tools/misc/print_config.py``."""
    return start('print_config', argv)


def taps(argv: Sequence[str] | None = None) -> int:
    """Run ``shake-taps`` or ``tools/misc/taps.py``."""
    return start('taps', argv)


def report(argv: Sequence[str] | None = None) -> int:
    """Run ``shake-report`` or ``tools/report.py``."""
    return start('report', argv)


if __name__ == '__main__':
    sys.exit(main())
