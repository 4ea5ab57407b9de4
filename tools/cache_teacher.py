"""Compute the logits of a config's frozen teachers ahead of the training: ``python tools/cache_teacher.py CONFIG``."""

import sys

from shake_mm.__main__ import cache_teacher as main

if __name__ == '__main__':
    sys.exit(main())
