"""Workarounds for bugs of the OpenMMLab stack and of torch, which ``import shake_mm`` applies.

Each works around one bug and cites it, acts only where the bug is present, may be called again, and returns whether it
acted. Where upstream lacks a name that a workaround needs, it leaves this version alone and says so at debug level.

None imports what it mends: a workaround acts when somebody else does.
"""

from functools import partial

from ...imports import lazy_parts, when_imported
from .paths import configs_dir

__all__ = ['apply_workarounds', 'configs_dir']

_MODULES = {
    'imports': ('workaround_torchvision', 'workaround_mmrazor', 'workaround_transformers'),
    'message_hub': ('workaround_message_hub',),
    'cpu': ('workaround_cpu_launch', 'workaround_cpu_wrapper'),
    'hub': ('workaround_hub_scope',),
    'optimizer_hooks': ('workaround_optimizer_hooks',),
    'paths': ('workaround_config_paths', 'workaround_package_names', 'workaround_installed_path'),
    'splits': ('workaround_test_split',),
    'wrapped_names': ('workaround_wrapped_names',),
}
__getattr__ = lazy_parts(__name__, _MODULES)

MENDED = {
    'workaround_torchvision': 'shake_mm',
    'workaround_mmrazor': 'shake_mm',
    'workaround_transformers': 'shake_mm',
    'workaround_message_hub': 'mmengine.logging',
    'workaround_cpu_launch': 'mmengine.dist',
    'workaround_cpu_wrapper': 'mmengine.model',
    'workaround_config_paths': 'mmengine.config',
    'workaround_package_names': 'mmengine.config',
    'workaround_installed_path': 'mmengine.utils',
    'workaround_hub_scope': 'mmengine.hub',
    'workaround_test_split': 'mmengine.dataset',
    'workaround_optimizer_hooks': 'torch._dynamo.eval_frame',
    'workaround_wrapped_names': 'mmpretrain.models.classifiers',
}
"""The module after whose import each is due. Those of shake_mm itself wait for what they mend by themselves."""


def apply_workarounds() -> dict[str, bool]:
    """Apply those whose module has been imported; the others follow when it is.

    Returns:
        dict[str, bool]: By name of the workaround, whether it acted this time.
    """
    acted = dict.fromkeys(MENDED, False)

    def act(name: str) -> None:
        acted[name] = __getattr__(name)()

    for name, module in MENDED.items():
        when_imported(module, partial(act, name))
    return acted
