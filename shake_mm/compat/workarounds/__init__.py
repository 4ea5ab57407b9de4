"""Workarounds for bugs of the OpenMMLab stack and of torch, which ``import shake_mm`` applies.

Each works around one bug and cites it, acts only where the bug is present, may be called again, and returns whether it
acted. Where upstream lacks a name that a workaround needs, it leaves this version alone and says so at debug level.
"""

from .cpu import workaround_cpu_launch, workaround_cpu_wrapper
from .imports import workaround_mmrazor, workaround_torchvision
from .message_hub import workaround_message_hub
from .paths import configs_dir, workaround_config_paths, workaround_installed_path
from .splits import workaround_test_split

__all__ = ['apply_workarounds', 'configs_dir']

WORKAROUNDS = (
    workaround_torchvision,
    workaround_mmrazor,
    workaround_message_hub,
    workaround_cpu_launch,
    workaround_cpu_wrapper,
    workaround_config_paths,
    workaround_installed_path,
    workaround_test_split,
)


def apply_workarounds() -> dict[str, bool]:
    """Apply all of them, before anything imports mmpretrain, mmdet or mmrazor.

    Returns:
        dict[str, bool]: By name of the workaround, whether it acted this time.
    """
    return {workaround.__name__: workaround() for workaround in WORKAROUNDS}
