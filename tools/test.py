"""Evaluate a checkpoint: ``python tools/test.py CONFIG CHECKPOINT``."""

import sys

from shake_mm.__main__ import test as main

if __name__ == '__main__':
    sys.exit(main())
