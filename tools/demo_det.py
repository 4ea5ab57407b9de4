"""Distill a small detector and compare: ``python tools/demo_det.py`` (or ``make demo-det``)."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # analysis and benchmarks are not installed

from analysis.demo_det import main  # noqa: E402

if __name__ == '__main__':
    sys.exit(main())
