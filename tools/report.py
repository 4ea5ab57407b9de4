"""Write the report of a run: ``python tools/report.py WORK_DIR``."""

import sys

from shake_mm.__main__ import report as main

if __name__ == '__main__':
    sys.exit(main())
