"""Paths of this package's configs, which mmengine resolves for the packages of its own table alone."""

import importlib.metadata
import importlib.util
import os.path as osp
import sys
from functools import wraps

import mmengine.utils
from mmengine.config import Config

from ..upstream import needs

PACKAGE_DIR = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))
PACKAGE = __name__.partition('.')[0]
IMPORTERS = ('mmengine.utils.package_utils', 'mmengine.utils', 'mmengine.config.config', 'mmengine.hub.hub')
"""Modules that hold ``get_installed_path`` under their own name, once they are imported."""


@needs('mmengine.config:Config._get_cfg_path(cfg_path, filename)', 'mmengine.config.utils:MODULE2PACKAGE')
def workaround_config_paths() -> bool:
    """Resolve ``_base_ = 'shake_mm::...'``, from an installation and from a checkout.

    mmengine only knows the packages of its own table, ``mmengine.config.utils.MODULE2PACKAGE``. For these it also sends
    the types in such a base to the package's registries; in ours mmpretrain's and mmdet's types would not be found, and
    our configs say their scope themselves.
    """
    from mmengine.config.utils import MODULE2PACKAGE

    upstream = Config._get_cfg_path
    if PACKAGE in MODULE2PACKAGE:
        return False
    MODULE2PACKAGE[PACKAGE] = PACKAGE

    @wraps(upstream)
    def get_cfg_path(cfg_path: str, filename: str) -> tuple[str, str | None]:
        package, separator, inner_path = cfg_path.partition('::')
        if separator and package == PACKAGE:
            return osp.join(configs_dir(), inner_path), None
        return upstream(cfg_path, filename)

    Config._get_cfg_path = staticmethod(get_cfg_path)
    return True


@needs('mmengine.config.utils:MODULE2PACKAGE')
def workaround_package_names() -> bool:
    """Resolve ``mmseg::…`` beside OneDL's distributions, whose names mmengine's table does not know.

    For a package without metadata of the table's name it asks Python for a module of that name, which mmdet and
    mmpretrain have. The module of mmsegmentation is called mmseg, so that its configs are not found there, and
    ``mmengine.hub`` would install a second mmsegmentation over the first.
    """
    from mmengine.config.utils import MODULE2PACKAGE

    called_else = [
        module
        for module, package in MODULE2PACKAGE.items()
        if module != package and not _is_distribution(package) and importlib.util.find_spec(module)
    ]
    MODULE2PACKAGE.update({module: module for module in called_else})
    return bool(called_else)


def _is_distribution(name: str) -> bool:
    try:
        return bool(importlib.metadata.distribution(name))
    except importlib.metadata.PackageNotFoundError:
        return False


def configs_dir() -> str:
    """Return the folder of shake_mm's configs: inside an installed package, or at the root of a checkout."""
    installed = osp.join(PACKAGE_DIR, '.mim', 'configs')
    return installed if osp.isdir(installed) else osp.join(osp.dirname(PACKAGE_DIR), 'configs')


@needs('mmengine.utils:get_installed_path(package)')
def workaround_installed_path() -> bool:
    """Find shake_mm when it is installed in editable mode, for ``mmengine.hub``.

    ``mmengine.utils.get_installed_path`` expects the package beside its metadata; an editable installation (PEP 660)
    keeps only the latter in ``site-packages``.
    """
    try:
        expected = importlib.metadata.distribution(PACKAGE).locate_file(PACKAGE)
    except importlib.metadata.PackageNotFoundError:  # mmengine then asks Python where the package is
        return False
    upstream = mmengine.utils.get_installed_path
    if osp.isdir(str(expected)) or hasattr(upstream, '__wrapped__'):
        return False

    @wraps(upstream)
    def get_installed_path(package: str) -> str:
        return PACKAGE_DIR if package == PACKAGE else upstream(package)

    for module in IMPORTERS:
        if hasattr(sys.modules.get(module), 'get_installed_path'):
            vars(sys.modules[module])['get_installed_path'] = get_installed_path
    return True
