"""Distill a small classifier and compare: ``python tools/demo.py`` (or ``make demo``)."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # analysis and benchmarks are not installed

from analysis.demo import main  # noqa: E402

if __name__ == '__main__':
    sys.exit(main())
