"""Evaluate a checkpoint: ``python tools/test.py CONFIG CHECKPOINT``."""

import sys

from shake_mm.cli.test import main

if __name__ == '__main__':
    sys.exit(main())
