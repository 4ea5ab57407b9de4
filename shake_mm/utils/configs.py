"""Where configs lie."""

from mmengine.config import Config


def config_file(path: str) -> str:
    """The file of a config; ``'package::file'`` is resolved as in ``_base_``."""
    return Config._get_cfg_path(path, '')[0] if '::' in path else path
