"""State what configs come to: ``python tools/misc/describe_configs.py CONFIG [CONFIG …] [--out FILE]``.

Each is built with random weights for its teachers and takes an optimizer step in every stage. What stands in the table
are its terms, the tapped layers with their shapes, the weights, and which parameters the step moved.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from shake_mm import cli


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options of the command line."""
    parser = cli.ArgumentParser(description='State what distillation configs come to')
    parser.add_argument('configs', nargs='+', help='distillation configs')
    parser.add_argument('--image-size', type=int, default=32, help='height and width of the images (32)')
    parser.add_argument('--title', default='What the configs come to', help='heading of the page')
    parser.add_argument('--out', help='write the page to this file')
    parser.add_argument('--overwrite', action='store_true', help='let --out replace a file that no tool wrote')
    cli.add_common_arguments(parser)
    return parser.parse_args(argv)


def write(args: argparse.Namespace) -> None:
    """Describe the configs, print or write the page."""
    import torch
    from mmengine.logging import MMLogger
    from rich.progress import track

    from analysis.describe import HEADER, describe
    from shake_mm.outputs import claim, write_text

    if args.out is not None:
        claim(args.out, '--out', args.overwrite, inputs=args.configs)
    MMLogger.get_instance('mmengine', log_level='WARNING')
    torch.manual_seed(0)
    lines = []
    for path in track(args.configs, 'configs', disable=args.out is None):
        rows = describe(cli.load_config(path, args.cfg_options), args.image_size)
        lines += [row.markdown(Path(path).stem) for row in rows]
    command = 'python tools/misc/describe_configs.py'
    intro = (
        f'Written by `{command}`: each config built with the networks it names, one optimizer step in each stage on a '
        f"batch of two random {args.image_size}×{args.image_size} images. A layer stands with its tensor's shape "
        '(channels × height × width); a member alone means its own loss on the labels. `moved` are the parameters that '
        'the step changed, by common prefixes; a teacher named there trains along.'
    )
    page = f'# {args.title}\n\n{intro}\n\n{HEADER}\n' + '\n'.join(lines) + '\n'
    if args.out is None:
        print(page)
    else:
        write_text(args.out, page)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    args = parse_args(argv)
    return cli.run(write, args)


if __name__ == '__main__':
    sys.exit(main())
