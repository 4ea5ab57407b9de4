"""Adversarial distillation of feature maps (AFD; Chung et al., ICML 2020)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..errors import UsageError
from ..registry import MODELS
from .pair import full_precision, matched_maps

SLOPE = 0.2


@full_precision
def adversarial(
    feature: Tensor,
    target: Tensor,
    discriminator: Callable[[Tensor], Tensor],
    frozen: Callable[[Tensor], Tensor],
) -> Tensor:
    r"""What a network and its discriminator lose, by least squares (Eqs. 2 to 4).

    .. math::
        L = \underbrace{\mathrm E\,[1 - D(t)]^2 + \mathrm E\,[D(s)]^2}_{\text{of the discriminator}}
            + \underbrace{\mathrm E\,[1 - D(s)]^2}_{\text{of the network}}

    The discriminator calls the other network's maps real and those of its own fake. Its gradients do not reach the
    network, and those of the network not the discriminator.

    Args:
        feature (Tensor): :math:`s`, maps of the network that learns, shape (N, C, H, W).
        target (Tensor): :math:`t`, those of the other, of the same shape; they get no gradient.
        discriminator (callable): :math:`D`, from maps to scores.
        frozen (callable): The same, whose parameters get no gradient.

    Returns:
        Tensor: A scalar.
    """
    judged = (1 - discriminator(target.detach())).square().mean() + discriminator(feature.detach()).square().mean()
    return judged + (1 - frozen(feature)).square().mean()


@MODELS.register_module()
class AdversarialLoss(nn.Module):
    """Module of :func:`adversarial`, with a discriminator of its own, whose layers train with the rest.

    The discriminator is two 3x3 convolutions with LeakyReLU, the first of stride 2, and a 1x1 convolution with a
    sigmoid, averaged over the places. It has no batch norm: it judges three batches a step.

    Args:
        in_shape (Sequence[int]): Shape (C, H, W) of the maps; the distiller fills it in.
        loss_weight (float): Factor. Defaults to 1.

    Raises:
        UsageError: If it reads no maps, or maps of other channels.
    """

    def __init__(self, in_shape: tuple, loss_weight: float = 1.0) -> None:
        super().__init__()
        if len(in_shape) != 3:
            raise UsageError(f'AdversarialLoss: in_shape is {tuple(in_shape)}, but it must be (C, H, W): tap maps.')
        self.loss_weight = loss_weight
        channels = in_shape[0]
        self.discriminator = nn.Sequential(
            nn.Conv2d(channels, channels, 3, stride=2, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(channels, 1, 1),
            nn.Sigmoid(),
            nn.AdaptiveAvgPool2d(1),
        )

    def forward(self, feature: Tensor, target: Tensor) -> Tensor:
        """Evaluate :func:`adversarial` on maps (N, C, ., .), the larger of which is pooled to the size of the other."""
        feature, target = matched_maps('AdversarialLoss', feature, target, same_channels=True)
        return self.loss_weight * adversarial(feature, target, self.discriminator, self._frozen)

    def _frozen(self, x: Tensor) -> Tensor:
        parameters = {name: parameter.detach() for name, parameter in self.discriminator.named_parameters()}
        return torch.as_tensor(functional_call(self.discriminator, parameters, (x,)))
