"""What all layers of the package share: plain helpers that know nothing of distillation."""

from .modules import copy_module, unwrap_model

__all__ = ['copy_module', 'unwrap_model']
