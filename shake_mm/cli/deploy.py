"""Deploy a trained student: ``python tools/deploy.py CONFIG CHECKPOINT OUT``."""

import argparse
import sys
from collections.abc import Sequence

from ..deploy import deploy_student
from . import common
from .parsers import parse_deploy as parse_args


def deploy(args: argparse.Namespace) -> None:
    """Run the command with the parsed options."""
    cfg = common.load_config(args.config, args.cfg_options)
    options = dict(size=args.shape, opset=args.opset, overwrite=args.overwrite, key=args.key)
    written = deploy_student(cfg, args.checkpoint, args.out, **options)
    channels, height, width = written.shape
    print(f'file        {written.path} ({written.format}, {written.path.stat().st_size / 2**20:.1f} MiB)')
    takes = f'float32 (batch, {channels}, {height}, {width}), pixels 0 to 255 as the pipeline loads them'
    print(f'input       images  {takes}')
    for name, shape in written.outputs.items():
        print(f'output      {name}  (batch, {", ".join(map(str, shape))})')
    if written.difference is None:
        print('verified    no: onnxruntime, which would answer, is not installed (pip install onnxruntime)')
    else:
        print(f"verified    PyTorch's answers within {written.difference:.0e} of the largest, for 1 and 3 pictures")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    return common.run(deploy, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
