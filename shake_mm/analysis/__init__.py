"""Reading runs back, statistics over seeds, times per step, images: what the demonstration and tables share."""

from .scalars import Scalars, read_run, read_scalars
from .summary import Stat, difference, over_seeds

__all__ = ['Scalars', 'Stat', 'difference', 'over_seeds', 'read_run', 'read_scalars']
