"""Find a method and its weights within a budget of time: ``python tools/tune.py CONFIG --budget 2h``."""

import sys

from shake_mm.__main__ import tune as main

if __name__ == '__main__':
    sys.exit(main())
