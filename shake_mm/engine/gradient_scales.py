"""Scale the gradients at a layer, where several heads share what lies before it (CL's backpropagation rescaling)."""

import operator
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..members import Members
from ..taps import TapName, Taps
from ..validation import check_mapping, check_number


def scale_gradients(members: Members, taps: Taps, scales: Mapping[str, float] | None) -> None:
    """Multiply the gradients of some layers' outputs, whoever they come from, before they go on to earlier layers.

    Args:
        members (Members): The networks.
        taps (Taps): Which knows the layers behind a tap.
        scales (dict, optional): Factors by tap of a network that learns, e.g. ``{'student.fl': 0.25}``.

    Raises:
        UsageError: If a tap is no layer of a network that learns, or a factor is negative.
    """
    check_mapping('gradient_scales', scales or {}, "gradient_scales={'student.fl': 0.25}")
    for text, factor in (scales or {}).items():
        check_number(f'gradient_scales.{text}', factor)
        taps.request(text)  # which names what is unknown
        for name in map(TapName.parse, taps.layers(text)):
            if name.member not in members.learners or name.side:
                raise UsageError(f"gradient_scales: '{text}' is no output of a network that learns: name a layer.")
            layer = members.learners[name.member].get_submodule(name.path)
            layer.register_forward_hook(partial(_scale, factor), prepend=True)


def _scale(factor: float, module: nn.Module, args: tuple, output: Any) -> None:
    for value in output if isinstance(output, (tuple, list)) else (output,):
        if isinstance(value, Tensor) and value.requires_grad and torch.is_grad_enabled():
            value.register_hook(partial(operator.mul, factor))
