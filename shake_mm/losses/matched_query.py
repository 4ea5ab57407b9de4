"""Distillation of matched predictions of two DETRs (DETRDistill; Chang et al., ICCV 2023)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ..registry import MODELS
from .pair import full_precision
from .queries import (
    Layer,
    ObjectLoss,
    Objects,
    assign,
    box_costs,
    box_sum,
    check_choice,
    halves,
    mean_number,
    object_queries,
    paired,
)

POSITIVE = ('objects', 'all')


@full_precision
def matched_query(mine: Layer, its: Layer, positive: Sequence[Tensor], activation: str = 'sigmoid') -> Tensor:
    r"""What a layer of the student's decoder loses against one of the teacher's.

    The teacher's predictions are pseudo objects. In each image its positive ones, by which it detects objects, are
    assigned to those of the student's that are nearest in classes and boxes, and the others to the rest of the
    student's by their boxes alone:

    .. math::
        L = \frac1M \sum_{i \in +} \big(\mathrm{KL}(p^T_i \,\|\, p^S_{\sigma(i)}) + d(b^T_i, b^S_{\sigma(i)})\big)
            + \frac1{M'} \sum_{i \in -} d(b^T_i, b^S_{\sigma(i)}), \qquad
        d = 5 \lVert \cdot \rVert_1 + 2 (1 - \mathrm{GIoU})

    where :math:`\sigma` makes the sum of each image and of each kind the least, and M and M' are the numbers of the
    teacher's predictions of both kinds in the batch. The divergence is that of Bernoulli distributions of each class,
    summed, or of categorical ones. Where the student has fewer queries, the teacher's worst are left out.

    Args:
        mine (Layer): Predictions of the student.
        its (Layer): Predictions of the teacher; they get no gradient.
        positive (Sequence[Tensor]): Of each image, indices of the teacher's positive queries.
        activation (str): ``'sigmoid'`` or ``'softmax'``. Defaults to ``'sigmoid'``.

    Returns:
        Tensor: A scalar.
    """
    its = Layer(*(x.detach() for x in its))
    other = [_without(queries, len(image.boxes)) for queries, image in zip(positive, its.images())]
    near, far = [], []
    for own, image, chosen, rest in zip(mine.images(), its.images(), positive, other):
        costs = class_costs(image.logits[chosen], own.logits, activation) + box_costs(image.boxes[chosen], own.boxes)
        rows, columns = assign(costs)
        near += [class_divergence(own.logits[columns], image.logits[chosen][rows], activation)]
        near += [_distance(own.boxes[columns], image.boxes[chosen][rows])]
        free = _without(columns, len(own.boxes))
        rows, columns = assign(box_costs(image.boxes[rest], own.boxes[free]))
        far += [_distance(own.boxes[free][columns], image.boxes[rest][rows])]
    known, background = torch.stack(near).sum(), torch.stack(far).sum()
    return known / mean_number(positive, known) + background / mean_number(other, known)


def class_costs(its: Tensor, mine: Tensor, activation: str) -> Tensor:
    """Cross-entropies of all pairs of the teacher's logits (m, K) and the student's (n, K), in a matrix (m, n)."""
    if activation == 'softmax':
        return -its.softmax(-1) @ mine.log_softmax(-1).T
    return -(its.sigmoid() @ F.logsigmoid(mine).T + (-its).sigmoid() @ F.logsigmoid(-mine).T)


def class_divergence(mine: Tensor, its: Tensor, activation: str) -> Tensor:
    """Sum of the divergences of the teacher's classes from the student's, both logits (m, K)."""
    if activation == 'softmax':
        sides = [(mine.log_softmax(-1), its.log_softmax(-1))]
    else:
        sides = [(F.logsigmoid(sign * mine), F.logsigmoid(sign * its)) for sign in (1, -1)]
    return torch.stack([(log_q.exp() * (log_q - log_p)).sum() for log_p, log_q in sides]).sum()


def _distance(boxes: Tensor, target: Tensor) -> Tensor:
    return box_sum(boxes[None], target[None], boxes.new_ones(1, len(boxes)))


def _without(indices: Tensor, number: int) -> Tensor:
    """The indices below a number that are not among these."""
    free = torch.ones(number, dtype=torch.bool, device=indices.device)
    free[indices] = False
    return free.nonzero()[:, 0]


@MODELS.register_module()
class MatchedQueryLoss(ObjectLoss):
    """:func:`matched_query` of all layers, each with the teacher's of its number ("progressive").

    The teacher's positive queries in an image are those that the objects are assigned to, see
    :func:`~shake_mm.losses.queries.object_queries`; in the authors' code all are.

    Args:
        activation (str): Of the class logits, ``'sigmoid'``, or ``'softmax'`` with the background last. Defaults to
            ``'sigmoid'``.
        layers (str): What each layer of the student's is compared with: the teacher's of the ``'same'`` number, or the
            ``'last'``. Defaults to ``'same'``.
        loss_weight (float): Factor. Defaults to 1.
        positive (str): Which of the teacher's queries are positive, those of the ``'objects'`` or ``'all'``. Defaults
            to ``'objects'``.

    Raises:
        UsageError: If an argument is none of those that it may be.
    """

    def __init__(
        self, activation: str = 'sigmoid', layers: str = 'same', loss_weight: float = 1.0, positive: str = 'objects'
    ) -> None:
        super().__init__(activation, layers, loss_weight)
        check_choice('MatchedQueryLoss', 'positive', positive, POSITIVE)
        self.positive = positive

    def summands(self, values: Sequence, target: Sequence, objects: Sequence[Objects]) -> list[Tensor]:
        """One a layer.

        Args:
            values (Sequence): The student's logits (N, Q, K) and boxes (N, Q, 4), each by layer.
            target (Sequence): The teacher's; it may have another number of queries.
            objects (Sequence[Objects]): Those of each image.

        Raises:
            UsageError: If they are not predictions of two decoders.
        """
        mine, its = (halves('MatchedQueryLoss', side) for side in (values, target))
        pairs = paired('MatchedQueryLoss', mine[0], its[0], self.layers, same_queries=False)
        layers = [(Layer(mine[0][i], mine[1][i]), Layer(its[0][k], its[1][k])) for i, k in pairs]
        return [self._of_layer(*pair, objects) for pair in layers]

    def _of_layer(self, mine: Layer, its: Layer, objects: Sequence[Objects]) -> Tensor:
        if self.positive == 'all':
            positive = [torch.arange(len(image.boxes), device=image.boxes.device) for image in its.images()]
        else:
            positive = [object_queries(*pair, self.activation)[0] for pair in zip(its.images(), objects)]
        return matched_query(mine, its, positive, self.activation)
