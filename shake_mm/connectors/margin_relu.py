"""The teacher's transform of the overhaul of feature distillation (Heo et al., ICCV 2019)."""

import math

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import MODELS


@torch.no_grad()
def expected_negative(mean: Tensor, std: Tensor) -> Tensor:
    r"""Mean of the negative part of normal responses, channel by channel.

    .. math::
        m = \mathrm{E}[x \mid x < 0] = \mu - \sigma \frac{\varphi(\mu / \sigma)}{\Phi(-\mu / \sigma)},
        \quad x \sim \mathcal N(\mu, \sigma^2)

    Where less than a thousandth of the responses is negative, it is :math:`-3 \sigma`, as in the authors' code.

    Args:
        mean (Tensor): :math:`\mu`, the shift of the batch norm, shape (C,).
        std (Tensor): Its scale, whose absolute value is :math:`\sigma`, shape (C,).

    Returns:
        Tensor: In the precision of ``mean``, shape (C,).
    """
    mu, sigma = mean.double(), std.double().abs()
    ratio = mu / sigma.clamp_min(torch.finfo(torch.float64).tiny)
    below = torch.special.ndtr(-ratio)
    density = torch.exp(-0.5 * ratio.square()) / math.sqrt(2 * math.pi)
    return torch.where(below > 1e-3, mu - sigma * density / below.clamp_min(1e-3), -3 * sigma).to(mean.dtype)


@MODELS.register_module()
class MarginReLU(nn.Module):
    r"""Features before their ReLU, no lower than a margin of their channel.

    .. math::
        \sigma_m(x) = \max(x, m)

    A positive response passes as it is; of a negative one only that it is negative, by as much as is usual there, since
    a student need not follow it further down. The margin comes from the batch norm before the ReLU.

    Args:
        in_norm (nn.Module): The batch norm that the features come from, or that is added last into them; the distiller
            fills it in. It does not become a part of this.

    Shape:
        - Input: :math:`(N, C, H, W)`
        - Output: :math:`(N, C, H, W)`

    Raises:
        UsageError: If it has no scale and shift.
    """

    margin: Tensor

    def __init__(self, in_norm: nn.Module) -> None:
        super().__init__()
        weight, bias = getattr(in_norm, 'weight', None), getattr(in_norm, 'bias', None)
        if weight is None or bias is None:
            raise UsageError(
                f'MarginReLU: {type(in_norm).__name__} has no scale and shift to take the margin from: tap features '
                'that a batch norm makes, such as teacher0.f3.preact.'
            )
        self.register_buffer('margin', expected_negative(bias.detach(), weight.detach()))

    def forward(self, x: Tensor) -> Tensor:
        """Raise what lies below the margin, of features (N, C, H, W)."""
        return torch.maximum(x, self.margin.to(x.dtype)[:, None, None])
