"""The hook that keeps what a layer computes."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UsageError
from .names import element_of


class Recorder:
    """Forward hook of one layer; keeps copies, because a later in-place layer may overwrite what it saw.

    Args:
        text (str): The tap as it is written, named in errors.
        side (str): ``':input'`` or ``':inputs'`` for what the layer receives, ``':named'`` for what it receives by
            name, ``''`` for what it returns, ``':each'`` for what it returns each time that it runs, as a list (of a
            head that serves several levels).
        indices (Sequence[int]): Which element of that.
        dtype (torch.dtype, optional): What floating-point tensors are converted to.
        repeated (bool): Whether the layer may run several times in a step; the last time counts. Defaults to False.
    """

    def __init__(
        self, text: str, side: str, indices: Sequence[int], dtype: torch.dtype | None, repeated: bool = False
    ) -> None:
        self.text, self.side, self.indices, self.dtype = text, side, indices, dtype
        self.active, self.repeated = False, repeated
        self.values: list[Any] = []

    def __call__(self, module: nn.Module, args: tuple, named: dict[str, Any], output: Any) -> None:
        """Keep a copy of what the layer received or returned, while a step records."""
        if self.active:
            if self.repeated:
                self.values = []
            seen, indices = output, self.indices
            if self.side == ':each':
                indices = ()  # they are of the list
            elif self.side:
                seen = named if self.side == ':named' else args if self.side == ':inputs' else args[0]
            self.values.append(_copy(element_of(seen, indices, self.text), self.dtype))

    def value(self) -> Any:
        """What the layer computed in this step.

        Raises:
            UsageError: If it ran more than once, or not at all.
        """
        if self.side == ':each' and self.values:
            return element_of(list(self.values), self.indices, self.text)
        if len(self.values) != 1:
            raise UsageError(
                f"tap '{self.text}' was produced {len(self.values)} times in this step, expected once: "
                'name a layer that runs once in every forward pass.'
            )
        return self.values[0]


def _copy(value: Any, dtype: torch.dtype | None) -> Any:
    if isinstance(value, Tensor):
        return value.clone() if dtype is None or not value.is_floating_point() else value.to(dtype, copy=True)
    if isinstance(value, (tuple, list)):
        return type(value)(_copy(item, dtype) for item in value)
    if isinstance(value, dict):
        return {name: _copy(item, dtype) for name, item in value.items()}
    return value
