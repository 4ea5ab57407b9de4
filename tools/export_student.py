"""Export a distilled student: ``python tools/export_student.py CONFIG CHECKPOINT OUT``."""

import sys

from shake_mm.__main__ import export_student as main

if __name__ == '__main__':
    sys.exit(main())
