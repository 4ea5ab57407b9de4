"""Print a config with its bases merged: ``python tools/misc/print_config.py CONFIG``."""

import sys

from shake_mm.__main__ import print_config as main

if __name__ == '__main__':
    sys.exit(main())
