"""Distance of the boxes that two DETRs predict of the same queries (KD-DETR; Wang et al., CVPR 2024)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..registry import MODELS
from ..validation import check_number
from .pair import full_precision, in_full_precision
from .queries import GIOU_WEIGHT, L1_WEIGHT, QueryLoss, box_sum, paired


@full_precision
def query_box(
    boxes: Tensor, target: Tensor, weight: Tensor, l1: float = L1_WEIGHT, giou: float = GIOU_WEIGHT
) -> Tensor:
    r"""Weighted sum over queries of the distances of boxes.

    .. math::
        L = \sum_i w_i \big(\lambda_1 \lVert s_i - t_i \rVert_1 + \lambda_2 (1 - \mathrm{GIoU}(s_i, t_i))\big)

    Args:
        boxes (Tensor): :math:`s`, the student's, normalized centers and sizes, shape (N, Q, 4).
        target (Tensor): :math:`t`, the teacher's of the same queries; it gets no gradient.
        weight (Tensor): :math:`w`, shape (N, Q).
        l1 (float): :math:`\lambda_1`. Defaults to 5.
        giou (float): :math:`\lambda_2`. Defaults to 2.

    Returns:
        Tensor: A scalar.

    Example:
        >>> box = torch.tensor([[[0.5, 0.5, 0.2, 0.2]]])
        >>> query_box(box + torch.tensor([0.1, 0.1, 0, 0]), box, torch.ones(1, 1))  # 5 * 0.2 + 2 * (1 - 1 / 7 + 2 / 9)
        tensor(3.1587)
    """
    return box_sum(boxes, target.detach(), weight, l1, giou)


@MODELS.register_module()
class QueryBoxLoss(QueryLoss):
    r""":func:`query_box` of all layers of the student's decoder, queries weighed by the reference's confidence.

    Weights and their sum are those of :class:`QueryKLLoss`.

    Args:
        l1 (float): Factor of the L1 distance. Defaults to 5.
        giou (float): Factor of 1 - GIoU. Defaults to 2.
        activation (str): What makes probabilities of the reference's logits, ``'sigmoid'`` or ``'softmax'``.
            Defaults to ``'sigmoid'``.
        layers (str): What each layer of the student's is compared with: the teacher's ``'last'``, or that of the
            ``'same'`` number. Defaults to ``'last'``.
        normalize (str): ``'weights'``, or ``'sum'`` for the sum over queries. Defaults to ``'weights'``.
        loss_weight (float): Factor. Defaults to 1.

    Raises:
        UsageError: If an argument is none of those that it may be.
    """

    def __init__(
        self,
        l1: float = L1_WEIGHT,
        giou: float = GIOU_WEIGHT,
        activation: str = 'sigmoid',
        layers: str = 'last',
        normalize: str = 'weights',
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(activation, layers, normalize, loss_weight)
        for key, value in (('l1', l1), ('giou', giou)):
            check_number(f'QueryBoxLoss: {key}', value)
        self.l1, self.giou = l1, giou

    def forward(
        self, boxes: Sequence[Tensor], target: Sequence[Tensor], reference: Sequence[Tensor] | None = None
    ) -> Tensor:
        """Evaluate the loss.

        Args:
            boxes (Sequence[Tensor]): The student's (N, Q, 4), by layer.
            target (Sequence[Tensor]): The teacher's, of the same queries.
            reference (Sequence[Tensor], optional): Logits (N, Q, K) by layer that weigh the queries: the term's
                ``reference``, usually the teacher's. Without them all queries count 1.

        Returns:
            Tensor: A scalar, the sum over layers.

        Raises:
            UsageError: If the shapes do not belong together.
        """
        return in_full_precision(self._evaluate, boxes, target, reference)

    def _evaluate(self, boxes: Sequence[Tensor], target: Sequence[Tensor], seen: Sequence[Tensor] | None) -> Tensor:
        terms = []
        for i, k in paired(type(self).__name__, boxes, target, self.layers):
            if seen is None:
                weight = torch.ones_like(boxes[i][..., 0])
                weight = weight / weight.numel() if self.normalize == 'weights' else weight
            else:
                weight = self.weights(seen[k])
            terms.append(query_box(boxes[i], target[k], weight, self.l1, self.giou))
        return self.loss_weight * torch.stack(terms).sum()
