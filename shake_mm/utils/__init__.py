"""What all layers of the package share: plain helpers that know nothing of distillation."""

from .configs import config_file
from .gradients import scale_gradient
from .modules import copy_module, hooks_restored, image_channels, twin_of, unwrap_model
from .processes import garbage_is_new, kill_data_workers
from .setup_env import register_all_modules

__all__ = [
    'config_file',
    'copy_module',
    'garbage_is_new',
    'hooks_restored',
    'image_channels',
    'kill_data_workers',
    'register_all_modules',
    'scale_gradient',
    'twin_of',
    'unwrap_model',
]
