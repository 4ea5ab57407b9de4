"""What all layers of the package share: plain helpers that know nothing of distillation."""

from .gradients import scale_gradient
from .modules import copy_module, image_channels, twin_of, unwrap_model
from .processes import kill_data_workers
from .setup_env import register_all_modules

__all__ = [
    'copy_module',
    'image_channels',
    'kill_data_workers',
    'register_all_modules',
    'scale_gradient',
    'twin_of',
    'unwrap_model',
]
