"""Compute the logits of a config's frozen teachers ahead of the training: ``python tools/cache_teacher.py CONFIG``."""

import sys

from shake_mm.cli.cache_teacher import main

if __name__ == '__main__':
    sys.exit(main())
