"""Train several configs over seeds: ``python tools/run_grid.py CONFIG [CONFIG ...] --seeds 0 1 2 --jobs 2``."""

import sys

from shake_mm.__main__ import run_grid as main

if __name__ == '__main__':
    sys.exit(main())
