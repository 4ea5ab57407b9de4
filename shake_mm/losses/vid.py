"""Variational information distillation (Ahn et al., 2019)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UsageError
from ..registry import MODELS
from .pair import full_precision, matched_maps


@full_precision
def variational_information(feature: Tensor, target: Tensor, variance: Tensor) -> Tensor:
    r"""Negative log-likelihood of a map under a Gaussian with one variance a channel, without its constant.

    .. math::
        L(\mu, t, v) = \frac{1}{N C H W} \sum_{nchw}
            \frac{1}{2} \Big( \frac{(\mu_{nchw} - t_{nchw})^2}{v_c} + \log v_c \Big)

    The larger of the two maps is pooled to the size of the smaller.

    Args:
        feature (Tensor): :math:`\mu`, the predicted mean, shape (N, C, H_s, W_s).
        target (Tensor): :math:`t`, the teacher's map, shape (N, C, H_t, W_t); it gets no gradient.
        variance (Tensor): :math:`v`, positive, shape (C,).

    Returns:
        Tensor: A scalar, which may be negative.

    Raises:
        UsageError: If they are not maps of the same batch and channels.

    Example:
        >>> variational_information(torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1), torch.tensor([2.0]))
        tensor(0.5966)
    """
    feature, target = matched_maps('VIDLoss', feature, target.detach(), same_channels=True)
    variance = variance.to(feature.dtype).view(-1, 1, 1)
    return 0.5 * ((feature - target).square() / variance + variance.log()).mean()


@MODELS.register_module()
class VIDLoss(nn.Module):
    r"""Module of :func:`variational_information` that learns the variance, :math:`v = \log(1 + e^\rho) + \epsilon`.

    Its usual connector is a :class:`~shake_mm.connectors.VIDRegressor`.

    Args:
        num_channels (int): Channels of the target.
        init_variance (float): Variance of every channel at the start, larger than ``eps``. Defaults to 5.
        eps (float): The smallest variance. Defaults to 1e-5.
        loss_weight (float): Factor. Defaults to 1.

    Raises:
        UsageError: If ``init_variance`` is not larger than ``eps``, or ``eps`` is negative.
    """

    def __init__(
        self, num_channels: int, init_variance: float = 5.0, eps: float = 1e-5, loss_weight: float = 1.0
    ) -> None:
        super().__init__()
        if not init_variance > eps >= 0:
            raise UsageError(
                f'VIDLoss has init_variance={init_variance} and eps={eps}: choose init_variance > eps >= 0.'
            )
        self.eps, self.loss_weight = eps, loss_weight
        self.rho = nn.Parameter(torch.full((num_channels,), math.log(math.expm1(init_variance - eps))))

    @property
    def variance(self) -> Tensor:
        """The variance of each channel, shape (C,)."""
        return F.softplus(self.rho) + self.eps

    def forward(self, feature: Tensor, target: Tensor) -> Tensor:
        """Evaluate :func:`variational_information` on maps (N, C, H, W)."""
        if feature.dim() > 1 and feature.shape[1] != len(self.rho):
            raise UsageError(
                f'VIDLoss: the feature has shape {tuple(feature.shape)}, but num_channels is {len(self.rho)}: '
                'leave num_channels out, and the target tells it.'
            )
        return self.loss_weight * variational_information(feature, target, self.variance)
