"""Benchmarks of shake_mm, which are run from a checkout: ``python -m benchmarks.compare_steps`` and others.

- :mod:`.compare_steps`: time and memory of a training step, beside plain loops and other libraries.
- :mod:`.compare_pipelines`: images per second of data pipelines and of whole runs.
- :mod:`.compare_teachers`: time and error of every way to run a frozen teacher.
- :mod:`.gpu`: all that a GPU is to show, within a budget of time.
- :mod:`.gate`: measured ratios against the committed ones.
- :mod:`.scale`: what methods send and keep.
- :mod:`.compare_losses`: time and memory of NST and RKD beside their naive forms.
"""

import shake_mm  # noqa: F401  (applies its workarounds before anything imports mmdet)
