"""A tensor whose gradient is scaled on its way back."""

from typing import Any

import torch
from torch import Tensor


class _Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        return ctx.factor * gradients[0], None


def scale_gradient(x: Tensor, factor: float) -> Tensor:
    """The tensor as it is, whose gradient is multiplied by a factor; a negative one reverses it.

    Args:
        x (Tensor): Of any shape.
        factor (float): Of the gradient.
    """
    return _Scale.apply(x, factor)
