"""The report of a run: one HTML page without links to elsewhere, and its pictures."""

from .figures import Figure, figures_of
from .page import page_of
from .runs import Run, read

__all__ = ['Figure', 'Run', 'figures_of', 'page_of', 'read']
