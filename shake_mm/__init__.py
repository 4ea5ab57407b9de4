"""SHAKE knowledge distillation for OpenMMLab.

After the import a config names a part as ``shake_mm.Part``, whatever its ``default_scope``. The registries import the
parts, and with them mmpretrain and mmdet, when one is asked for.
"""

from .stack import check_versions
from .version import __version__

check_versions()

from .compat import apply_workarounds  # noqa: E402

apply_workarounds()

from . import registry  # noqa: E402, F401
from .imports import lazy_parts  # noqa: E402

# A program of one's own imports these; torch comes with the first.
__getattr__ = lazy_parts(
    __name__,
    {
        'api': ['distill'],
        'deploy': ['deploy_student'],
        'distillers': ['DML', 'KD', 'SHAKE'],
        'engine': ['Distiller'],
        'export': ['export_student'],
    },
)

__all__ = ['DML', 'KD', 'SHAKE', 'Distiller', '__version__', 'deploy_student', 'distill', 'export_student']
