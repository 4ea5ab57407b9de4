"""Tables, plots and the paper's figures, which are run from a checkout: ``python -m analysis.build_table`` and others.

- :mod:`.build_table`: tabulate finished runs beside the paper's figures.
- :mod:`.build_study`: set one of the paper's studies of SHAKE beside finished runs.
- :mod:`.sweep`: train a config over temperatures and balances, and draw it.

``notes/`` holds the paragraphs that people wrote for the pages in ``docs/``.
"""

import shake_mm  # noqa: F401  (applies its workarounds before anything imports mmdet)

from .summary import Stat, difference, over_seeds

__all__ = ['Stat', 'difference', 'over_seeds']
