"""SHAKE knowledge distillation for OpenMMLab.

After the import a config names a part as ``shake_mm.Part``, whatever its ``default_scope``. The registries import the
parts, and with them mmpretrain and mmdet, when one is asked for.
"""

from importlib import metadata

from .version import __version__

REQUIRES = {
    'torch': '>=2.6',
    'mmengine': '>=0.10.7,<1',
    'mmcv': '>=2.1,<2.2',
    'mmpretrain': '>=1.2,<1.3',
    'mmdet': '>=3.3,<3.4',
}


def check_versions() -> None:
    """Raise an ImportError that names what to install when a package is missing or of the wrong version."""
    from packaging.specifiers import SpecifierSet

    for name, wanted in REQUIRES.items():
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            found = None
        if found is None or not SpecifierSet(wanted).contains(found, prereleases=True):
            state = 'is not installed' if found is None else f'is {found}'
            raise ImportError(f"shake_mm needs {name}{wanted}, but {name} {state}: run `pip install '{name}{wanted}'`.")


check_versions()

from .compat import apply_workarounds  # noqa: E402

apply_workarounds()

from . import registry  # noqa: E402, F401

__all__ = ['__version__']
