"""Divergence of the masks that two networks predict of the same boxes."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import MODELS
from .dense_kl import Bernoulli
from .pair import check_equal, full_precision


@full_precision
def mask_kl(masks: Tensor, target: Tensor, labels: Tensor, tau: float = 1.0) -> Tensor:
    r"""Mean over boxes and pixels of the divergence of the masks of each box's class, which alone learn from masks.

    .. math::
        L = \frac{\tau^2}{R H W} \sum_{rhw}
            \mathrm{KL}\big(\mathrm{B}(t_{r c_r h w} / \tau) \,\|\, \mathrm{B}(m_{r c_r h w} / \tau)\big)

    with the Bernoulli distributions :math:`\mathrm{B}` of logits. Without boxes it is 0.

    Args:
        masks (Tensor): Logits :math:`m`, shape (R, K, H, W) of K classes, or of 1 for all of them.
        target (Tensor): Logits :math:`t`, of the same shape; they get no gradient.
        labels (Tensor): Classes :math:`c`, shape (R,).
        tau (float): Temperature, larger than 0. Defaults to 1.

    Returns:
        Tensor: A scalar.

    Raises:
        UsageError: If the shapes do not belong together.

    Example:
        >>> masks, target = torch.zeros(1, 2, 1, 1), torch.tensor([[[[0.0]], [[30.0]]]])
        >>> mask_kl(masks, target, torch.tensor([1]))  # log 2
        tensor(0.6931)
    """
    check_equal('MaskKLLoss', masks, target)
    if masks.dim() != 4 or len(labels) != len(masks):
        raise UsageError(
            f'MaskKLLoss: masks of shape {tuple(masks.shape)} and {len(labels)} classes, but it takes masks '
            '(R, K, H, W) of R boxes and their classes: name `masks` of detectors with a mask head.'
        )
    channel = torch.zeros_like(labels) if masks.shape[1] == 1 else labels
    row = torch.arange(len(labels), device=labels.device)
    mine, its = (x[row, channel].flatten(1)[:, None] for x in (masks, target.detach()))
    return Bernoulli.apply(mine, its, tau).sum() / max(mine.numel(), 1)


@MODELS.register_module()
class MaskKLLoss(nn.Module):
    """Module of :func:`mask_kl`; of a cascade the sum over its stages.

    Args:
        tau (float): Temperature, larger than 0. Defaults to 1.
        loss_weight (float): Factor. Defaults to 1.

    Raises:
        UsageError: If the temperature is not positive.
    """

    def __init__(self, tau: float = 1.0, loss_weight: float = 1.0) -> None:
        super().__init__()
        if tau <= 0:
            raise UsageError(f'MaskKLLoss: tau={tau}, but a temperature must be larger than 0.')
        self.tau, self.loss_weight = tau, loss_weight

    def forward(
        self, masks: Tensor | Sequence[Tensor], target: Tensor | Sequence[Tensor], mask_labels: Sequence[Tensor]
    ) -> Tensor:
        """Evaluate the loss.

        Args:
            masks (Tensor | Sequence[Tensor]): The student's ``masks``, (R, K, H, W), or those of each stage.
            target (Tensor | Sequence[Tensor]): The teacher's of the same boxes.
            mask_labels (Sequence[Tensor]): Classes (R,) of the boxes of each stage.

        Returns:
            Tensor: A scalar.
        """
        stages = [[x] if isinstance(x, Tensor) else list(x) for x in (masks, target)]
        losses = [mask_kl(m, t, labels, self.tau) for m, t, labels in zip(*stages, mask_labels, strict=True)]
        return self.loss_weight * sum(losses[1:], losses[0])
