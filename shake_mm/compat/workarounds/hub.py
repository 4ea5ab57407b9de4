"""Configs of this package for mmengine's ``get_config`` and ``get_model``."""

import sys
from functools import wraps
from typing import Any

from ..upstream import needs


@needs('mmengine.hub.hub:get_config')
def workaround_hub_scope() -> bool:
    """Let ``get_model('shake_mm::…')`` find the parts of the package that a config is written for.

    mmengine takes the package that a config is in for the one whose types it names. Our configs name the types of
    mmpretrain or mmdet, which is their ``default_scope``.
    """
    from mmengine.hub import hub

    upstream = hub.get_config
    if hasattr(upstream, '__wrapped__'):
        return False

    @wraps(upstream)
    def get_config(cfg_path: str, pretrained: bool = False) -> Any:
        cfg = upstream(cfg_path, pretrained)
        if cfg_path.startswith('shake_mm::') and 'model' in cfg and cfg.get('default_scope'):
            cfg.model.setdefault('_scope_', cfg.default_scope)
        return cfg

    hub.get_config = get_config
    vars(sys.modules['mmengine.hub'])['get_config'] = get_config
    return True
