"""A loss for each stage of a head of several, as Cascade R-CNN's (Cai & Vasconcelos, 2018)."""

import inspect
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from ..errors import UsageError
from ..registry import MODELS, build_part


@MODELS.register_module()
class StagewiseLoss(nn.Module):
    r"""Weighted sum of one loss over the stages of a head: :math:`L(a, b) = \sum_k w_k \, \ell(a_k, b_k)`.

    Args:
        loss (dict | nn.Module): Config of :math:`\ell`, called as ``loss(a_k, b_k)``.
        weights (Sequence[float]): :math:`w_k`, one for each stage, e.g. Cascade R-CNN's ``stage_loss_weights``, which
            are 1, 0.5 and 0.25.
        loss_weight (float): Factor. Defaults to 1.

    Raises:
        UsageError: If there are no weights.

    Example:
        >>> loss = StagewiseLoss(dict(type='KLDivLoss', tau=1.0), weights=(1, 0.5))
        >>> a, b = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])
        >>> loss([a, a], [b, b])  # 1.5 times 0.4338
        tensor(0.6507)
    """

    def __init__(self, loss: dict | nn.Module, weights: Sequence[float], loss_weight: float = 1.0) -> None:
        super().__init__()
        if not weights:
            raise UsageError('StagewiseLoss: `weights` is empty, but it must hold one number for each stage.')
        self.loss = build_part(loss)
        self.takes_reference = 'reference' in inspect.signature(self.loss.forward).parameters
        self.weights, self.loss_weight = tuple(weights), loss_weight

    def forward(self, logits: Sequence[Any], target: Sequence[Any], reference: Sequence[Any] | None = None) -> Tensor:
        """Evaluate the loss of every stage.

        Args:
            logits (Sequence): :math:`a_k`, what the loss takes first, by stage.
            target (Sequence): :math:`b_k`, what it takes second.
            reference (Sequence, optional): What it takes as its ``reference``, as a
                :class:`~shake_mm.losses.DenseKLLoss` does; a loss that takes none is not given it.

        Returns:
            Tensor: A scalar.

        Raises:
            UsageError: If there are not as many of each as weights.
        """
        sides = (logits, target, reference) if reference is not None and self.takes_reference else (logits, target)
        if any(len(side) != len(self.weights) for side in sides):
            raise UsageError(
                f'StagewiseLoss: there are {len(self.weights)} weights, but stages of '
                f'{" and ".join(str(len(side)) for side in sides)} of logits and targets: the two heads must have as '
                'many stages as `weights`.'
            )
        return self.loss_weight * sum(w * self.loss(*stage) for w, *stage in zip(self.weights, *sides))
