"""What all layers of the package share: plain helpers that know nothing of distillation."""

from .modules import copy_module, image_channels, unwrap_model
from .processes import kill_data_workers

__all__ = ['copy_module', 'image_channels', 'kill_data_workers', 'unwrap_model']
