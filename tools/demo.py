"""Distill a small classifier and compare: ``python tools/demo.py`` (or ``make demo``)."""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # analysis and benchmarks are not installed

from analysis import options  # noqa: E402


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line, then import the demonstration and run it."""
    options.parse_demo(argv)
    return import_module('analysis.demo').main(argv)


if __name__ == '__main__':
    sys.exit(main())
