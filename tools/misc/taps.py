"""List the taps of a config's networks: ``python tools/misc/taps.py CONFIG``."""

import sys

from shake_mm.__main__ import taps as main

if __name__ == '__main__':
    sys.exit(main())
