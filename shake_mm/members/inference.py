"""Cheaper passes of a frozen teacher: half precision, channels-last, folded BatchNorm, compilation."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.utils._pytree import tree_map

from ..compat.torch_names import set_submodule, tree_leaves
from ..errors import UsageError

# Folding BatchNorm rounds differently, and that in every layer.
_TOLERANCE = 1e-3

DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16, 'float16': torch.float16}


@dataclass(frozen=True)
class Inference:
    """How a frozen teacher computes. Its head's logits and all its taps are float32 whatever is chosen.

    Args:
        dtype (str): ``'float32'``, ``'bfloat16'`` or ``'float16'``. Defaults to ``'float32'``.
        channels_last (bool): Whether convolutions see NHWC memory. Defaults to False.
        fuse_bn (bool): Whether BatchNorm is folded into the convolution before it. Defaults to False.
        compile (bool | dict): Whether ``torch.compile`` compiles it, or with which options, e.g.
            ``dict(mode='reduce-overhead')`` for CUDA graphs. Defaults to False.
        auto (bool): Whether the first step measures what is fastest, and the others but ``compile`` are left to it.
            ``inference='auto'`` stands for this alone. Defaults to False.
        bound (float): What the fastest may be off by at most, as a share of the largest value that the plain network
            makes. Defaults to 0.01.
    """

    dtype: str = 'float32'
    channels_last: bool = False
    fuse_bn: bool = False
    compile: bool | dict = False
    auto: bool = False
    bound: float = 0.01

    @classmethod
    def parse(cls, name: str, config: Mapping[str, Any] | str | None) -> 'Inference':
        """Read a config's entry.

        Raises:
            UsageError: If a key or the dtype is unknown, or something is chosen that is to be measured.
        """
        config = {'auto': True} if config == 'auto' else config
        if isinstance(config, str):
            raise UsageError(f"{name}: inference='{config}' is unknown: give 'auto', or dict(dtype=…).")
        known = [field.name for field in fields(cls)]
        for key in config or ():
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1) or [', '.join(known)]
                raise UsageError(f"{name}: inference has no key '{key}', did you mean {near[0]}?")
        inference = cls(**(config or {}))
        if inference.dtype not in DTYPES:
            raise UsageError(f"{name}: inference.dtype='{inference.dtype}' is none of {', '.join(DTYPES)}.")
        if inference.auto and inference != cls(compile=inference.compile, auto=True, bound=inference.bound):
            raise UsageError(f'{name}: inference.auto measures dtype, layout and fuse_bn: leave those out, or auto.')
        if not inference.bound > 0:
            raise UsageError(f'{name}: inference.bound={inference.bound} must be larger than 0.')
        return inference

    @property
    def halved(self) -> bool:
        """Whether what the layers make may be no float32."""
        return self.auto or self.dtype != 'float32'

    @property
    def words(self) -> str:
        """What is chosen, such as ``'float16, channels-last, fused'``."""
        facts = {'channels-last': self.channels_last, 'fused': self.fuse_bn, 'compiled': self.compile}
        return ', '.join([self.dtype, *(word for word, chosen in facts.items() if chosen)])

    def fold(self, network: nn.Module, run: Callable[[], Any], where: str) -> None:
        """Fold BatchNorm into the convolutions before it, in place, if that is chosen.

        Args:
            network (nn.Module): In evaluation mode.
            run (callable): Runs it on some images, and returns what it makes.
            where (str): The member, named in errors.

        Raises:
            UsageError: If a tap reads a convolution that changes, or the network's output would.
        """
        if not self.fuse_bn:
            return
        with torch.no_grad():
            before = tree_leaves(run())
            for conv, norm in _pairs(network, run):
                _fold(network, conv, norm, where)
            after = tree_leaves(run())
        for one, other in zip(before, after):
            if not (one - other).abs().max() <= _TOLERANCE * one.abs().max():
                raise UsageError(
                    f'{where}: something else than BatchNorm reads what its convolutions make: leave out '
                    'inference.fuse_bn.'
                )

    def apply(self, parts: Sequence[nn.Module]) -> None:
        """Change precision and layout of those parts, and compile them, as is chosen."""
        for part in parts:
            if self.halved or self.channels_last:
                self._convert(part)
            if self.compile:
                part.compile(**(self.compile if isinstance(self.compile, Mapping) else {}))

    def _convert(self, part: nn.Module) -> None:
        dtype, layout = DTYPES[self.dtype], torch.channels_last if self.channels_last else torch.preserve_format
        part.to(dtype)
        if self.channels_last:
            part.to(memory_format=torch.channels_last)

        def enter(value: Any) -> Any:
            if not isinstance(value, Tensor) or not value.is_floating_point():
                return value
            return value.to(dtype, memory_format=layout if value.ndim == 4 else torch.preserve_format)

        # Before the hooks of taps, which are to see float32.
        part.register_forward_pre_hook(lambda module, args: tree_map(enter, args), prepend=True)
        part.register_forward_hook(lambda module, args, output: tree_map(_leave, output), prepend=True)


def _leave(value: Any) -> Any:
    """As others expect it: mmcv's RoIAlign on the CPU misreads a channels-last tensor without a word."""
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return value
    return value.to(torch.float32, memory_format=torch.contiguous_format)


def changed_by_folding(network: nn.Module, run: Callable[[], Any]) -> bool:
    """Whether there is a BatchNorm to fold, and nothing is read of the convolutions that would change."""
    pairs = _pairs(network, run)
    return bool(pairs) and not any(network.get_submodule(conv)._forward_hooks for conv, _ in pairs)


def _pairs(network: nn.Module, run: Callable[[], Any]) -> list[tuple[str, str]]:
    """Names of the convolutions whose output is what a BatchNorm reads, and of that: found by a pass."""
    made: dict[int, tuple[str, Tensor, int]] = {}  # holds the tensors, so that no id comes twice
    found = []

    def watch(name: str, layer: nn.Module, args: tuple, output: Any) -> None:
        if isinstance(layer, nn.Conv2d):
            made[id(output)] = (name, output, output._version)
        elif id(args[0]) in made and made[id(args[0])][2] == args[0]._version:  # no layer has written into it
            found.append((made[id(args[0])][0], name))

    kinds = (nn.Conv2d, nn.BatchNorm2d)
    layers = [(name, layer) for name, layer in network.named_modules() if isinstance(layer, kinds)]
    handles = [layer.register_forward_hook(partial(watch, name), prepend=True) for name, layer in layers]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return found


def _fold(network: nn.Module, conv: str, norm: str, where: str) -> None:
    before, after = network.get_submodule(conv), network.get_submodule(norm)
    if before._forward_hooks:
        raise UsageError(f'{where}: a term reads {conv}, which fuse_bn changes: leave out inference.fuse_bn.')
    before.weight, before.bias = fuse_conv_bn_weights(
        before.weight, before.bias, after.running_mean, after.running_var, after.eps, after.weight, after.bias
    )
    before.requires_grad_(False)
    stand_in = nn.Identity().eval()
    for hooks in ('_forward_hooks', '_forward_hooks_with_kwargs', '_forward_hooks_always_called'):
        getattr(stand_in, hooks).update(getattr(after, hooks))  # a tap of the norm reads what stands for it
    set_submodule(network, norm, stand_in)
