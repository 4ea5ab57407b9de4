"""The report of a run: one HTML page without links to elsewhere, and its pictures."""

from .curves import curves_of
from .figures import Chapter, Figure, Missing
from .members import members_of
from .page import page_of
from .runs import Run, read
from .write import write_report

__all__ = ['Chapter', 'Figure', 'Missing', 'Run', 'curves_of', 'members_of', 'page_of', 'read', 'write_report']
