"""Convert a checkpoint of the CRD benchmark to mmpretrain.

``python tools/model_converters/crd_to_mmpretrain.py --arch NAME IN OUT``
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from shake_mm import __version__, cli
from shake_mm.compat import configs_dir


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Define and parse the command line."""
    parser = cli.ArgumentParser(description='Convert a checkpoint of the CRD benchmark to mmpretrain')
    archs = sorted(path.stem for path in Path(configs_dir(), '_base_/models/crd').glob('*.py'))  # as crd_archs()
    parser.add_argument('--arch', required=True, choices=archs, help='the network, as the benchmark names it')
    parser.add_argument('checkpoint', metavar='IN', help="the benchmark's checkpoint, or a bare state dict")
    parser.add_argument('out', metavar='OUT', help='the file to write')
    parser.add_argument('--overwrite', action='store_true', help='replace OUT, whoever wrote it')
    parser.add_argument('--key', help='where in the checkpoint the weights are, if it holds several networks')
    parser.add_argument('--debug', action='store_true', help='show the traceback of an error')
    return parser.parse_args(argv)


def convert(args: argparse.Namespace) -> None:
    """Convert the checkpoint; the network gets the checkpoint's number of classes."""
    from mmengine.config import Config

    from shake_mm.members import load_strictly, read_weights
    from shake_mm.models import crd_config, crd_to_mmpretrain
    from shake_mm.outputs import claim
    from shake_mm.registry import MODELS

    out = Path(args.out)
    claim(out, 'OUT', args.overwrite, inputs=[args.checkpoint])
    where = f'--arch {args.arch}'
    state = crd_to_mmpretrain(read_weights(args.checkpoint, where, key=args.key), args.arch)
    config = Config.fromfile(crd_config(args.arch)).model
    config.head.num_classes = len(state['head.fc.weight'])
    model = MODELS.build(dict(config, _scope_='mmpretrain'))
    load_strictly(model, state, where, args.checkpoint)
    meta = dict(arch=args.arch, num_classes=config.head.num_classes, shake_mm_version=__version__)
    _write(dict(meta=meta, state_dict=dict(model.state_dict())), out)
    print(f'checkpoint  {out}\nnetwork     {args.arch}, {config.head.num_classes} classes\nverified    strict load')


def _write(checkpoint: dict, out: Path) -> None:
    """Write a file atomically."""
    import torch

    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.with_name(f'.{out.name}.{os.getpid()}')
    try:
        torch.save(checkpoint, draft)
        draft.replace(out)
    finally:
        draft.unlink(missing_ok=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    args = parse_args(argv)
    return cli.run(convert, args)


if __name__ == '__main__':
    sys.exit(main())
