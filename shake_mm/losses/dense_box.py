"""Distance between the boxes that two dense detectors predict at the same places."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import MODELS
from .pair import check_equal, full_precision, in_full_precision
from .places import Places, confidence, prior_rows

KINDS = ('giou', 'iou', 'l1')
NORMS = ('positives', 'weights')
_SMALL = 1e-6


@full_precision
def box_distance(boxes: Tensor, target: Tensor, weight: Tensor, kind: str = 'giou') -> Tensor:
    r"""Weighted sum of the distances of boxes from those of another network.

    .. math::
        L = \sum_p w_p \, d(b_p, t_p), \qquad
        d = 1 - \mathrm{GIoU} \;\text{or}\; -\log \mathrm{IoU} \;\text{or}\; \lVert b_p - t_p \rVert_1

    with :math:`\mathrm{GIoU} = I / U - (E - U) / E` of the areas of the intersection, of the union and of what encloses
    both (Rezatofighi et al., 2019).

    Args:
        boxes (Tensor): :math:`b`, shape (N, P, 4), x1 y1 x2 y2; any four numbers for ``'l1'``.
        target (Tensor): :math:`t`, of the same shape; it gets no gradient.
        weight (Tensor): :math:`w`, shape (N, P).
        kind (str): ``'giou'``, ``'iou'`` or ``'l1'``. Defaults to ``'giou'``.

    Returns:
        Tensor: A scalar.

    Example:
        >>> box = torch.tensor([[[0.0, 0.0, 2.0, 2.0]]])
        >>> box_distance(box, box + 1, torch.ones(1, 1))  # 1 - 1 / 7 + 2 / 9
        tensor(1.0794)
    """
    target = target.detach()
    if kind == 'l1':
        return (weight * (boxes - target).abs().sum(-1)).sum()
    low, high = torch.maximum(boxes[..., :2], target[..., :2]), torch.minimum(boxes[..., 2:], target[..., 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    union = (_area(boxes) + _area(target) - shared).clamp(min=_SMALL)
    overlap = shared / union
    if kind == 'iou':
        return (weight * -overlap.clamp(min=_SMALL).log()).sum()
    low, high = torch.minimum(boxes[..., :2], target[..., :2]), torch.maximum(boxes[..., 2:], target[..., 2:])
    around = (high - low).clamp(min=0).prod(-1).clamp(min=_SMALL)
    return (weight * (1 - overlap + (around - union) / around)).sum()


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


@MODELS.register_module()
class DenseBoxLoss(nn.Module):
    r""":func:`box_distance` of all levels, each prior weighed by the reference's confidence that there is something.

    :math:`w_p = v_p \max_c \sigma(r_{pc})`, v being 0 for priors that are not valid and 1 for the others. The sum is
    divided by the number of positive priors, or by the sum of the weights.

    Args:
        kind (str): ``'giou'``, ``'iou'`` or ``'l1'``. Defaults to ``'giou'``.
        normalize (str): ``'positives'`` or ``'weights'``. Defaults to ``'positives'``.
        loss_weight (float): Factor. Defaults to 1.

    Raises:
        UsageError: If an argument is none of these.
    """

    def __init__(self, kind: str = 'giou', normalize: str = 'positives', loss_weight: float = 1.0) -> None:
        super().__init__()
        for name, value, known in (('kind', kind, KINDS), ('normalize', normalize, NORMS)):
            if value not in known:
                raise UsageError(f"DenseBoxLoss: {name}='{value}', but it must be one of {known}.")
        self.kind, self.normalize, self.loss_weight = kind, normalize, loss_weight

    def forward(
        self,
        boxes: Sequence[Tensor],
        target: Sequence[Tensor],
        places: Places,
        reference: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Evaluate the loss.

        Args:
            boxes (Sequence[Tensor]): Boxes (N, P, 4) by level (or maps (N, A * 4, H, W), for ``'l1'``).
            target (Sequence[Tensor]): Of the same shapes.
            places (Places): What the student's own loss made of the priors.
            reference (Sequence[Tensor], optional): Class logits by level, maps (N, A * C, H, W): the term's
                ``reference``, usually the teacher's. Without them all valid priors count 1.

        Returns:
            Tensor: A scalar.

        Raises:
            UsageError: If the shapes do not belong together.
        """
        return in_full_precision(self._evaluate, boxes, target, places, reference)

    def _evaluate(
        self, boxes: Sequence[Tensor], target: Sequence[Tensor], places: Places, reference: Sequence[Tensor] | None
    ) -> Tensor:
        a, b = (prior_rows('DenseBoxLoss', levels, places.weight, 4) for levels in (boxes, target))
        check_equal('DenseBoxLoss', a, b)
        weight = (torch.cat(places.weight, dim=1) > 0).to(a)
        if reference is not None:
            weight = weight * confidence('DenseBoxLoss', reference, places.weight).detach()
        total = box_distance(a, b, weight, self.kind)
        norm = places.number if self.normalize == 'positives' else weight.sum().clamp(min=_SMALL)
        return self.loss_weight * total / norm
