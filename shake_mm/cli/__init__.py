"""The commands of a shell: ``tools/*.py`` and ``python -m shake_mm`` call the ``main`` of the module of the same name.

:mod:`.common` holds what commands share, and what other scripts may use; :mod:`.parsers` their command lines.
"""

from ..imports import lazy_parts
from .parsers import ArgumentParser, Settings, add_common_arguments, add_launcher_arguments

__getattr__ = lazy_parts(
    __name__, {'common': ('existing_checkpoint', 'load_config', 'run', 'set_launcher', 'set_work_dir')}
)

__all__ = [
    'ArgumentParser',
    'Settings',
    'add_common_arguments',
    'add_launcher_arguments',
    'existing_checkpoint',
    'load_config',
    'run',
    'set_launcher',
    'set_work_dir',
]
