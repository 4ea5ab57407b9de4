"""Focal and global knowledge distillation for detectors (Yang et al., CVPR 2022)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import MODELS
from .pair import check_equal, full_precision, in_full_precision


def scale_masks(gt_bboxes: Sequence[Tensor], image_shape: Sequence[int], size: Sequence[int]) -> tuple[Tensor, Tensor]:
    r"""What each place of a map counts in the foreground and in the background (Eq. 4 and 5).

    A place in a box counts the inverse of the box's area in places, of the smallest box that it is in; all others count
    the inverse of their number. A box covers the places from the one that its upper left corner is in to the one behind
    its lower right corner, as in the authors' release.

    Args:
        gt_bboxes (Sequence[Tensor]): Boxes (n, 4) of each image, x1 y1 x2 y2 in pixels.
        image_shape (tuple[int, int]): Height and width of the padded batch, which the map covers.
        size (tuple[int, int]): Height H and width W of the map.

    Returns:
        tuple[Tensor, Tensor]: Of the foreground and of the background, shape (N, H, W).
    """
    rows, columns = (torch.arange(side, device=gt_bboxes[0].device) for side in size)
    masks = []
    for boxes in gt_bboxes:
        x1, y1, x2, y2 = boxes.float().unbind(1)
        left, right = (x1 * (size[1] / image_shape[1])).floor(), (x2 * (size[1] / image_shape[1])).ceil()
        top, bottom = (y1 * (size[0] / image_shape[0])).floor(), (y2 * (size[0] / image_shape[0])).ceil()
        inside_x = (columns >= left[:, None]) & (columns <= right[:, None])
        inside_y = (rows >= top[:, None]) & (rows <= bottom[:, None])
        inside = (inside_y[:, :, None] & inside_x[:, None, :]).float()
        share = inside / ((bottom - top + 1) * (right - left + 1))[:, None, None]
        masks.append(torch.cat([share, share.new_zeros(1, *size)]).amax(0))  # of no box too
    foreground = torch.stack(masks)
    background = (foreground == 0).float()
    return foreground, background / background.sum((1, 2), keepdim=True).clamp(min=1)


def attention(x: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    """Spatial (N, H, W) and channel (N, C) attention of a map, whose means are 1 (Eq. 6 to 9)."""
    n, channels, height, width = x.shape
    spatial = height * width * (x.abs().mean(1) / tau).flatten(1).softmax(1).view(n, height, width)
    return spatial, channels * (x.abs().mean((2, 3)) / tau).softmax(1)


@full_precision
def focal_distillation(
    feature: Tensor,
    target: Tensor,
    foreground: Tensor,
    background: Tensor,
    tau: float = 0.5,
    alpha: float = 1e-3,
    beta: float = 5e-4,
    gamma: float = 1e-3,
) -> Tensor:
    r"""Focal distillation: what matters of objects and of background, and where the teacher looks (Eq. 10 to 12).

    .. math::
        L = \frac{1}{N} \sum_{nchw} (\alpha M^{fg}_{nhw} + \beta M^{bg}_{nhw}) A^S_{nhw} A^C_{nc}
            (F^T_{nchw} - F^S_{nchw})^2
            + \frac{\gamma}{N} \Big( \sum_{nhw} |A^S(F^S) - A^S(F^T)| + \sum_{nc} |A^C(F^S) - A^C(F^T)| \Big)

    with the teacher's attention :math:`A`, and masks :math:`M` that hold the scale of objects.

    Args:
        feature (Tensor): :math:`F^S`, shape (N, C, H, W).
        target (Tensor): :math:`F^T`, of the same shape; it gets no gradient.
        foreground (Tensor): :math:`M^{fg}`, shape (N, H, W), see :func:`scale_masks`.
        background (Tensor): :math:`M^{bg}`, of the same shape.
        tau (float): Temperature of the attention. Defaults to 0.5.
        alpha (float): Weight of objects. Defaults to 1e-3.
        beta (float): Weight of background. Defaults to 5e-4.
        gamma (float): Weight of the attention. Defaults to 1e-3.

    Returns:
        Tensor: A scalar.
    """
    target = target.detach()
    (spatial, channel), mine = attention(target, tau), attention(feature, tau)
    weight = ((alpha * foreground + beta * background) * spatial)[:, None] * channel[:, :, None, None]
    places = (weight * (target - feature).square()).sum()
    looks = sum((own - its).abs().sum() for own, its in zip(mine, (spatial, channel)))
    return (places + gamma * looks) / len(feature)


class GlobalContext(nn.Module):
    """Adds to every place of a map what the whole of it says: the GcBlock of Cao et al. (2019), Eq. 13.

    Args:
        channels (int): C of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // 2, 1)
        self.pool = nn.Conv2d(channels, 1, 1)
        self.transform = nn.Sequential(
            nn.Conv2d(channels, hidden, 1), nn.LayerNorm([hidden, 1, 1]), nn.ReLU(), nn.Conv2d(hidden, channels, 1)
        )
        nn.init.kaiming_normal_(self.pool.weight, mode='fan_in', nonlinearity='relu')
        # As in the release: at first nothing is added.
        for parameter in (self.pool.bias, *self.transform[-1].parameters()):
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """A map of the shape of ``x``, (N, C, H, W)."""
        places = self.pool(x).flatten(2).softmax(2)
        context = (x.flatten(2) @ places.transpose(1, 2))[..., None]
        return x + self.transform(context)


@MODELS.register_module()
class FGDLoss(nn.Module):
    r"""FGD on one level of a pyramid: :func:`focal_distillation`, and the relations between its places.

    The global part is :math:`\frac{\lambda}{N} \sum (R_T(F^T) - R_S(F^S))^2`, R being a :class:`GlobalContext` of each
    side, both trained along (Eq. 14). Where the channels differ, a 1x1 convolution leads from the student's to the
    teacher's first. Weights default to the authors' for RetinaNet.

    Args:
        in_channels (int): The student's; the distiller fills it in.
        out_channels (int): The teacher's, likewise.
        tau (float): Temperature of the attention, larger than 0. Defaults to 0.5.
        alpha (float): Weight of objects. Defaults to 1e-3.
        beta (float): Weight of background. Defaults to 5e-4.
        gamma (float): Weight of the attention. Defaults to 1e-3.
        lam (float): Weight of the relations. Defaults to 5e-6.
        loss_weight (float): Factor. Defaults to 1.

    Raises:
        UsageError: If the temperature is not positive.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        tau: float = 0.5,
        alpha: float = 1e-3,
        beta: float = 5e-4,
        gamma: float = 1e-3,
        lam: float = 5e-6,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        if tau <= 0:
            raise UsageError(f'FGDLoss: tau={tau}, but a temperature must be larger than 0.')
        self.weights = dict(tau=tau, alpha=alpha, beta=beta, gamma=gamma)
        self.lam, self.loss_weight = lam, loss_weight
        self.align = nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)
        self.student_context, self.teacher_context = GlobalContext(out_channels), GlobalContext(out_channels)

    def forward(
        self, feature: Tensor, target: Tensor, gt_bboxes: Sequence[Tensor], batch_input_shape: Sequence[int]
    ) -> Tensor:
        """Evaluate the loss.

        Args:
            feature (Tensor): The student's level, shape (N, C_s, H, W).
            target (Tensor): The teacher's, shape (N, C_t, H, W); it gets no gradient.
            gt_bboxes (Sequence[Tensor]): Boxes (n, 4) of each image, in pixels.
            batch_input_shape (tuple[int, int]): Height and width of the padded batch.

        Returns:
            Tensor: A scalar.

        Raises:
            UsageError: If the two levels differ in size.
        """
        return in_full_precision(self._evaluate, feature, target.detach(), gt_bboxes, batch_input_shape)

    def _evaluate(
        self, feature: Tensor, target: Tensor, gt_bboxes: Sequence[Tensor], batch_input_shape: Sequence[int]
    ) -> Tensor:
        feature = self.align(feature)
        check_equal('FGDLoss', feature, target)
        masks = (mask.to(feature) for mask in scale_masks(gt_bboxes, batch_input_shape, feature.shape[2:]))
        focal = focal_distillation(feature, target, *masks, **self.weights)
        relations = (self.student_context(feature) - self.teacher_context(target)).square().sum() / len(feature)
        return self.loss_weight * (focal + self.lam * relations)
