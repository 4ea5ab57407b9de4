"""Print a config with its bases merged: ``python tools/misc/print_config.py CONFIG``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from shake_mm import cli
from shake_mm.errors import UsageError
from shake_mm.outputs import claim, write_config

FORMATS = ('.py', '.yml', '.yaml', '.json')


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Define and parse the command line."""
    parser = cli.ArgumentParser(description='Print the whole config')
    parser.add_argument('config', help='config file path')
    parser.add_argument('--save-path', help='also write the config to this file (.py, .yml, .json)')
    parser.add_argument('--overwrite', action='store_true', help='let --save-path replace a file that no tool wrote')
    cli.add_common_arguments(parser)
    return parser.parse_args(argv)


def print_config(args: argparse.Namespace) -> None:
    """Load the config, print it, and save it if that is asked for."""
    cfg = cli.load_config(args.config, args.cfg_options)
    if args.save_path is not None:
        if not args.save_path.endswith(FORMATS):
            raise UsageError(f'--save-path {args.save_path} must end in one of {", ".join(FORMATS)}.')
        if not Path(args.save_path).parent.is_dir():
            raise UsageError(f'--save-path {args.save_path}: its folder does not exist: correct the path.')
        claim(args.save_path, '--save-path', args.overwrite, inputs=[args.config])
    print(cfg.pretty_text)
    if args.save_path is not None:
        write_config(cfg, args.save_path)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    return cli.run(print_config, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
