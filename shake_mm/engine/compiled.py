"""Refuse to compile what an old torch does not compile rightly."""

from collections.abc import Iterable

import torch
from packaging.version import Version
from torch import nn

from ..errors import UsageError
from ..members import Members
from ..taps import TapName, Taps

HOOKED = Version('2.2')
"""Torch 2.1 compiles a module without the hooks of the layers below it, and says nothing."""


def check_compiled(members: Members, taps: Taps, hooked: Iterable[str], found: str = torch.__version__) -> None:
    """Refuse compiled networks whose inner layers are read, where torch's compiler forgets their hooks.

    Args:
        members (Members): The networks, compiled where that was asked.
        taps (Taps): Which knows the layers behind a tap.
        hooked (iterable of str): The taps that are read, and those whose gradients are scaled.
        found (str): The version of torch.

    Raises:
        UsageError: If a tap lies inside a compiled part and torch is older than 2.2.
    """
    if Version(found) >= HOOKED:
        return
    inside = {f'{name}.{path}' for name, network in members.learners.items() for path in _compiled_layers(network)}
    for tap in sorted(hooked):
        if any(f'{name.member}.{name.path}' in inside for name in map(TapName.parse, taps.layers(tap))):
            raise UsageError(
                f"compile: '{tap}' lies inside a compiled network, whose layers torch {found} does not show to those "
                'who read them: leave out `compile`, or use a later torch.'
            )


def _compiled_layers(network: nn.Module) -> set[str]:
    """Names of the layers below compiled parts."""
    parts = [name for name, part in network.named_modules() if getattr(part, '_compiled_call_impl', None) is not None]
    return {
        f'{part}.{layer}' if part else layer
        for part in parts
        for layer, _ in network.get_submodule(part).named_modules()
        if layer
    }
