"""Files from elsewhere, read without running what is in them: weights, annotations, and what runs wrote.

See ``docs/security.md`` for what is trusted and what is not.
"""

from .annotations import trust_pickles
from .checkpoint import read
from .guard import guard_loaders
from .run_config import read_run_config

__all__ = ['guard_loaders', 'read', 'read_run_config', 'trust_pickles']
