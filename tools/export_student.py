"""Export a distilled student: ``python tools/export_student.py CONFIG CHECKPOINT OUT``."""

import sys

from shake_mm.cli.export_student import main

if __name__ == '__main__':
    sys.exit(main())
