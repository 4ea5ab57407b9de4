"""Distillation of the frequencies of features, where learned prompts find them (FreeKD, Zhang et al., CVPR 2024)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import MODELS
from ..utils.wavelet import haar
from .pair import check_equal, full_precision, in_full_precision


@full_precision
def frequency_distance(feature: Tensor, target: Tensor, masks: Sequence[Tensor]) -> Tensor:
    r"""Distance of the details of two maps, scale by scale, where prompts find something.

    .. math::
        L = \sum_j \frac{1}{3 N T C h_j w_j} \sum_{ntcohw} M_{jnthw} \, |D_{jncohw}(F^S) - D_{jncohw}(F^T)|

    with the details D of Haar's wavelets, of three orientations o in each scale j.

    Args:
        feature (Tensor): :math:`F^S`, shape (N, C, H, W).
        target (Tensor): :math:`F^T`, of the same shape; it gets no gradient.
        masks (Sequence[Tensor]): M of each scale from the finest, shape (N, T, h, w); they get none.

    Returns:
        Tensor: A scalar.
    """
    _, *details = haar(feature - target.detach(), len(masks))
    return sum((m.detach().mean(1)[:, None, None] * d.abs()).mean() for m, d in zip(masks, details))


@full_precision
def mask_similarity(mask: Tensor) -> Tensor:
    r"""How alike the masks of T prompts are: Dice's coefficient, the mean over all pairs of different ones.

    .. math::
        L = \frac{1}{N T (T - 1)} \sum_n \sum_{t \ne u} \frac{2 \, m_{nt} \cdot m_{nu}}{|m_{nt}|^2 + |m_{nu}|^2}

    Args:
        mask (Tensor): m, shape (N, T, H, W), T being 2 at least.

    Returns:
        Tensor: A scalar.
    """
    rows = mask.flatten(2)
    products = rows @ rows.transpose(1, 2)
    squares = products.diagonal(dim1=1, dim2=2)
    dice = 2 * products / (squares[:, :, None] + squares[:, None, :] + 1e-12)
    number = mask.shape[1]
    others = 1 - torch.eye(number, dtype=dice.dtype, device=dice.device)
    return (dice * others).sum() / (len(mask) * number * (number - 1))


@MODELS.register_module()
class FreeKDLoss(nn.Module):
    r"""FreeKD on a pyramid: :func:`frequency_distance` of each level, and a part of the squared difference of all.

    :math:`\sum_l L_l + w \cdot \mathrm{mean} (F^S_l - F^T_l)^2`. Where the channels of a level differ, a 1x1
    convolution leads from the student's to the teacher's first.

    Args:
        in_channels (Sequence[int]): The student's, by level; the distiller fills them in.
        out_channels (Sequence[int]): The teacher's, likewise.
        whole (float): w, 0 or more. Defaults to 5, the authors' for RetinaNet.
        loss_weight (float): Factor. Defaults to 1.

    Raises:
        UsageError: If w is negative, or the numbers of levels differ.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: Sequence[int],
        whole: float = 5.0,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        if whole < 0:
            raise UsageError(f'FreeKDLoss: whole={whole}, but it must be 0 or more.')
        sides = (in_channels, out_channels)
        if not all(isinstance(side, (list, tuple)) for side in sides) or len(in_channels) != len(out_channels):
            raise UsageError(
                "FreeKDLoss: it compares as many levels of both at once: give of=['student.f*'] and to=['teacher0.f*']."
            )
        self.whole, self.loss_weight = whole, loss_weight
        self.align = nn.ModuleList(nn.Identity() if i == o else nn.Conv2d(i, o, 1) for i, o in zip(*sides))

    def forward(
        self, feature: Sequence[Tensor], target: Sequence[Tensor], reference: Sequence[Tensor] | None = None
    ) -> Tensor:
        """Evaluate the loss.

        Args:
            feature (Sequence[Tensor]): The student's levels, shape (N, C_s, H, W).
            target (Sequence[Tensor]): The teacher's, shape (N, C_t, H, W); they get no gradient.
            reference (Sequence[Tensor], optional): Needed: masks of the bands of each level, see
                :class:`~shake_mm.connectors.FrequencyPrompt`: the term's ``reference``. The first of a level, of what
                is left of it, is not looked at.

        Returns:
            Tensor: A scalar.

        Raises:
            UsageError: If two levels differ in size, or the masks are not theirs.
        """
        masks = [reference] if isinstance(reference, Tensor) else list(reference or ())
        return in_full_precision(self._evaluate, list(feature), list(target), masks)

    def _evaluate(self, feature: list[Tensor], target: list[Tensor], masks: list[Tensor]) -> Tensor:
        number, rest = divmod(len(masks), len(self.align))
        if rest or number < 2:
            raise UsageError(
                f'FreeKDLoss: {len(masks)} masks of {len(self.align)} levels: let `reference` name a FrequencyPrompt '
                'of these levels, e.g. connectors.prompt.'
            )
        losses = []
        for i, (align, own, its) in enumerate(zip(self.align, feature, target)):
            own = align(own)
            check_equal('FreeKDLoss', own, its)
            losses.append(frequency_distance(own, its, masks[i * number + 1 : (i + 1) * number]))
            losses.append(self.whole * (own - its.detach()).square().mean())
        return self.loss_weight * torch.stack(losses).sum()


@MODELS.register_module()
class MaskSimilarityLoss(nn.Module):
    """:func:`mask_similarity`, summed over masks: what it teaches prompts is to find different things.

    Args:
        loss_weight (float): Factor. Defaults to 1.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, masks: Sequence[Tensor]) -> Tensor:
        """Evaluate the loss.

        Args:
            masks (Sequence[Tensor]): Shape (N, T, H, W) each.

        Returns:
            Tensor: A scalar.

        Raises:
            UsageError: If one is of a single prompt, or no mask.
        """
        for mask in masks:
            if mask.dim() != 4 or mask.shape[1] < 2:
                raise UsageError(
                    f'MaskSimilarityLoss: a mask has shape {tuple(mask.shape)}, but it compares those of two prompts '
                    'or more, (N, T, H, W): name a FrequencyPrompt.'
                )
        return self.loss_weight * torch.stack([mask_similarity(mask) for mask in masks]).sum()
