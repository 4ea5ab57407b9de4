"""Train from a config: ``python tools/train.py CONFIG``."""

import sys

from shake_mm.cli.train import main

if __name__ == '__main__':
    sys.exit(main())
