"""Train from a config: ``python tools/train.py CONFIG``."""

import sys

from shake_mm.__main__ import train as main

if __name__ == '__main__':
    sys.exit(main())
