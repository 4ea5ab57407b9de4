"""Print a config with its bases merged: ``python -m shake_mm print-config CONFIG``.

``--save-path`` writes it as one file, which trains by any package's ``train.py``: it imports this package itself.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from ..checks.packages import scopes_in
from ..errors import UsageError
from ..outputs import claim, write_config
from . import common
from .parsers import parse_print_config as parse_args

PACKAGE = __name__.partition('.')[0]
FORMATS = ('.py', '.yml', '.yaml', '.json')


def print_config(args: argparse.Namespace) -> None:
    """Load the config, print it, and save it if that is asked for."""
    cfg = common.load_config(args.config, args.cfg_options)
    if args.save_path is not None:
        if not args.save_path.endswith(FORMATS):
            raise UsageError(f'--save-path {args.save_path} must end in one of {", ".join(FORMATS)}.')
        if not Path(args.save_path).parent.is_dir():
            raise UsageError(f'--save-path {args.save_path}: its folder does not exist: correct the path.')
        claim(args.save_path, '--save-path', args.overwrite, inputs=[args.config])
        import_ours(cfg)
    print(cfg.pretty_text)
    if args.save_path is not None:
        write_config(cfg, args.save_path)


def import_ours(cfg: Config) -> None:
    """Let a config that names parts of this package have it imported, whoever reads it.

    mmengine imports what stands in ``custom_imports`` after it has read the file. A base ``'shake_mm::…'`` is looked up
    before, so only a file without one is read by a program that has not imported this package.
    """
    imports = cfg.get('custom_imports') or {}
    names = imports.get('imports') or []
    names = [names] if isinstance(names, str) else list(names)
    if PACKAGE in scopes_in(cfg) and PACKAGE not in names:
        failing = imports.get('allow_failed_imports', False)
        cfg.custom_imports = dict(imports=[*names, PACKAGE], allow_failed_imports=failing)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    return common.run(print_config, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
