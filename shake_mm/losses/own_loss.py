"""A frozen network's own loss, of features that another part made: what in them it needs to answer the labels."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from ..registry import MODELS
from .pair import in_full_precision


@MODELS.register_module()
class OwnLoss(nn.Module):
    """What a frozen network would learn by, had its trunk made these features: all summands of its own loss.

    It teaches what makes the features: tokens, prompts or adapters. The network's layers get no gradient. The term's
    ``of`` names a shared connector whose ``source`` ends in taps of that network.

    Args:
        own_loss (nn.Module): The loss behind the trunk, called with the features and the samples; the distiller fills
            it in.
        loss_weight (float): Factor. Defaults to 1.
    """

    def __init__(self, own_loss: nn.Module, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.own_loss, self.loss_weight = own_loss, loss_weight

    def forward(self, features: Sequence[Tensor], data_samples: Sequence[Any]) -> Tensor:
        """Evaluate the loss.

        Args:
            features (Sequence[Tensor]): In place of what the trunk makes: maps (N, C, H, W) by level, of a detector.
            data_samples (Sequence): The samples of the batch, with their labels.

        Returns:
            Tensor: A scalar.
        """
        return self.loss_weight * in_full_precision(self.own_loss, features, list(data_samples))
