"""Put a data set where the configs look for it: ``python tools/dataset_prepare.py NAME [--from PLACE]``."""

import sys

from shake_mm.__main__ import dataset_prepare as main

if __name__ == '__main__':
    sys.exit(main())
