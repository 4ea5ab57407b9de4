"""What all layers of the package share: plain helpers that know nothing of distillation."""

from .modules import copy_module, twin_of, unwrap_model
from .processes import kill_data_workers

__all__ = ['copy_module', 'kill_data_workers', 'twin_of', 'unwrap_model']
