"""Distillation of features where learned tokens find something (MasKD, Huang et al., ICLR 2023)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import MODELS
from .pair import check_equal, full_precision, in_full_precision


def token_masks(tokens: Tensor, feature: Tensor) -> Tensor:
    r"""Where tokens are found in a map: :math:`M_t = \sigma(E_t \cdot F)`, place by place.

    Args:
        tokens (Tensor): E, shape (T, C), or of each image (N, T, C).
        feature (Tensor): F, shape (N, C, H, W).

    Returns:
        Tensor: Shape (N, T, H, W).
    """
    return (tokens @ feature.flatten(2)).sigmoid().unflatten(2, feature.shape[2:])


@full_precision
def masked_distance(feature: Tensor, target: Tensor, masks: Tensor, shares: Tensor) -> Tensor:
    r"""Squared difference of two maps under each mask, over the mask's size; masks count by their shares.

    .. math::
        L = \frac{1}{N C} \sum_{n,t} w_{nt}
            \frac{\sum_{chw} M_{nthw}^2 \, (F^S_{nchw} - F^T_{nchw})^2}{\sum_{hw} M_{nthw}}

    Args:
        feature (Tensor): :math:`F^S`, shape (N, C, H, W).
        target (Tensor): :math:`F^T`, of the same shape; it gets no gradient.
        masks (Tensor): M, shape (N, T, H, W); they get none.
        shares (Tensor): w, shape (N, T); they get none.

    Returns:
        Tensor: A scalar.
    """
    masks, shares = masks.detach(), shares.detach()
    # The channels are summed first: no map of each mask and channel is needed.
    squares = (feature - target.detach()).square().mean(1)
    under = torch.einsum('nthw,nhw->nt', masks.square(), squares)
    return (shares * under / masks.sum((2, 3)).clamp(min=1e-6)).sum(1).mean()


@MODELS.register_module()
class MasKDLoss(nn.Module):
    """MasKD on a pyramid: :func:`masked_distance` of each level, summed, behind a 1x1 convolution of the student's.

    From an epoch on the masks are customized: multiplied by those of the same tokens in the student's features.

    Args:
        in_channels (Sequence[int]): The student's, by level; the distiller fills them in.
        out_channels (Sequence[int]): The teacher's, likewise.
        customized_from (int, optional): That epoch, counted from 0 and with those that a stage adds; None for never.
            Defaults to None.
        loss_weight (float): Factor. Defaults to 1.

    Raises:
        UsageError: If the numbers of levels differ.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: Sequence[int],
        customized_from: int | None = None,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        sides = (in_channels, out_channels)
        if not all(isinstance(side, (list, tuple)) for side in sides) or len(in_channels) != len(out_channels):
            raise UsageError(
                "MasKDLoss: it compares as many levels of both at once: give of=['student.f*'] and to=['teacher0.f*']."
            )
        self.customized_from, self.loss_weight = customized_from, loss_weight
        self.customized = customized_from is not None and customized_from <= 0
        self.align = nn.ModuleList(nn.Conv2d(i, o, 1) for i, o in zip(*sides))

    def enter_epoch(self, epoch: int) -> None:
        """Customize the masks, or not yet, from the beginning of ``epoch``, counted from 0."""
        self.customized = self.customized_from is not None and epoch >= self.customized_from

    def forward(self, feature: Sequence[Tensor], target: Sequence[Tensor], reference: Any = None) -> Tensor:
        """Evaluate the loss.

        Args:
            feature (Sequence[Tensor]): The student's levels, shape (N, C_s, H, W).
            target (Sequence[Tensor]): The teacher's, shape (N, C_t, H, W); they get no gradient.
            reference (Sequence, optional): Needed: what a :class:`~shake_mm.connectors.ReceptiveTokens` finds in the
                teacher's, the term's ``reference``.

        Returns:
            Tensor: A scalar.

        Raises:
            UsageError: If two levels differ in size, or the masks are not theirs.
        """
        return in_full_precision(self._evaluate, list(feature), list(target), list(reference or ()))

    def _evaluate(self, feature: list[Tensor], target: list[Tensor], found: list[Any]) -> Tensor:
        if len(found) != 3 or any(len(part) != len(self.align) for part in found):
            raise UsageError(
                f'MasKDLoss: it needs masks of {len(self.align)} levels: let `reference` name a ReceptiveTokens of '
                'these levels, e.g. connectors.tokens.'
            )
        losses = []
        for align, own, its, masks, shares, tokens in zip(self.align, feature, target, *found):
            own = align(own)
            check_equal('MasKDLoss', own, its)
            if self.customized:
                masks = masks * token_masks(tokens, own.detach())
            losses.append(masked_distance(own, its, masks, shares))
        return self.loss_weight * torch.stack(losses).sum()
