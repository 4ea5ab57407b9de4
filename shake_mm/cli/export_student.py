"""Export a distilled student: ``python tools/export_student.py CONFIG CHECKPOINT OUT``."""

import argparse
import sys
from collections.abc import Sequence

from ..export import export_student
from . import common


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Define and parse the command line."""
    parser = common.ArgumentParser(description='Write the student of a distillation run as a plain model')
    parser.add_argument('config', help='the distillation config')
    parser.add_argument('checkpoint', help='a checkpoint of its run')
    parser.add_argument('out', help="a folder, or a path ending in '.pth' whose stem names the files")
    parser.add_argument(
        '--class-head-only', action='store_true', help='let a DeiT answer by its class head, not the mean of both heads'
    )
    parser.add_argument('--overwrite', action='store_true', help='replace a config that no export wrote')
    parser.add_argument('--key', help='where in the checkpoint the weights are, if it holds several networks')
    common.add_common_arguments(parser)
    return parser.parse_args(argv)


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
