"""Changes that shake_mm makes to the OpenMMLab stack while a program runs.

:mod:`.workarounds` for bugs act as soon as shake_mm is imported. :mod:`.preferences` are a matter of taste: our command
line tools switch them on, and a program that only imports the library does not get them.
"""

from .workarounds import apply_workarounds, configs_dir

__all__ = ['apply_workarounds', 'configs_dir']
