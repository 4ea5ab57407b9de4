"""Export a distilled student: ``python tools/export_student.py CONFIG CHECKPOINT OUT``."""

import argparse
import sys
from collections.abc import Sequence

from ..export import export_student
from . import common
from .parsers import parse_export_student as parse_args


def export(args: argparse.Namespace) -> None:
    """Run the command with the parsed options."""
    cfg = common.load_config(args.config, args.cfg_options)
    options = dict(class_head_only=args.class_head_only, overwrite=args.overwrite, key=args.key)
    weights, config = export_student(cfg, args.checkpoint, args.out, **options)
    print(f'checkpoint  {weights}\nconfig      {config}\nverified    strict load, equal logits')


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    return common.run(export, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
