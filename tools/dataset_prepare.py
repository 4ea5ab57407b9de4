"""Put a data set where the configs look for it: ``python tools/dataset_prepare.py NAME [--from PLACE]``."""

import sys

from shake_mm.cli.dataset_prepare import main

if __name__ == '__main__':
    sys.exit(main())
