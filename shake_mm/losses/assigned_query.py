"""What a student detects by a teacher's queries, as the teacher assigns them (DETRDistill; Chang et al., ICCV 2023)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ..registry import MODELS
from .pair import full_precision
from .queries import Layer, ObjectLoss, Objects, box_sum, halves, mean_number, object_queries, paired

ALPHA, GAMMA, FOCAL_WEIGHT, BACKGROUND_WEIGHT = 0.25, 2.0, 2.0, 0.1
"""What Deformable DETR and its descendants, and of the last DETR, weigh classes by."""

Assignment = tuple[Tensor, Tensor]
"""Indices of queries of an image and of the objects that they are to detect."""


@full_precision
def assigned_query(
    layer: Layer, assignment: Sequence[Assignment], objects: Sequence[Objects], activation: str = 'sigmoid'
) -> Tensor:
    r"""The loss of a DETR, of a layer of its decoder, where it is given which query is to detect which object.

    .. math::
        L = L_{cls} + \frac1n \sum_j \big(5 \lVert b_{\sigma(j)} - b_j \rVert_1
            + 2 (1 - \mathrm{GIoU}(b_{\sigma(j)}, b_j))\big)

    over the n objects of the batch. :math:`L_{cls}` is twice the sum of the focal loss over n, of sigmoids, or the
    weighted mean of the cross-entropy, in which queries without an object count 0.1.

    Args:
        layer (Layer): Predictions (N, Q, .).
        assignment (Sequence[tuple[Tensor, Tensor]]): :math:`\sigma` of each image, indices of queries and objects.
        objects (Sequence[Objects]): Those of each image.
        activation (str): ``'sigmoid'``, or ``'softmax'`` with the background last. Defaults to ``'sigmoid'``.

    Returns:
        Tensor: A scalar.
    """
    channels = layer.logits.shape[2]
    labels = layer.logits.new_full(layer.logits.shape[:2], channels - (activation == 'softmax'), dtype=torch.long)
    near = [layer.boxes.sum() * 0]  # no image need have objects
    for i, (queries, chosen) in enumerate(assignment):
        labels[i, queries] = objects[i].labels[chosen]
        mine, its = layer.boxes[i, queries][None], objects[i].boxes[chosen][None]
        near.append(box_sum(mine, its, mine.new_ones(mine.shape[:2])))
    number = mean_number([queries for queries, _ in assignment], layer.boxes)
    if activation == 'softmax':
        classes = _cross_entropy(layer.logits, labels, number)
    else:
        targets = F.one_hot(labels, channels + 1)[..., :-1].to(layer.logits)
        classes = FOCAL_WEIGHT * _focal(layer.logits, targets) / number
    return classes + torch.stack(near).sum() / number


def _cross_entropy(logits: Tensor, labels: Tensor, number: Tensor) -> Tensor:
    """Queries without an object count less, also in the sum of the weights."""
    background = labels == logits.shape[2] - 1
    weight = torch.where(background, BACKGROUND_WEIGHT, 1.0)
    loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction='none')
    return (loss * weight.flatten()).sum() / (number + BACKGROUND_WEIGHT * (background.numel() - number)).clamp(min=1)


def _focal(logits: Tensor, target: Tensor) -> Tensor:
    """Sum of the focal losses (Lin et al., 2017) of all classes."""
    probability = logits.sigmoid()
    missed = probability * (1 - target) + (1 - probability) * target
    weight = (ALPHA * target + (1 - ALPHA) * (1 - target)) * missed**GAMMA
    return (weight * F.binary_cross_entropy_with_logits(logits, target, reduction='none')).sum()


@MODELS.register_module()
class AssignedQueryLoss(ObjectLoss):
    """:func:`assigned_query` of all layers, of the teacher's assignment of objects to queries that both answer.

    Args:
        activation (str): Of the class logits, ``'sigmoid'``, or ``'softmax'`` with the background last. Defaults to
            ``'sigmoid'``.
        layers (str): Whose assignment each layer of the student's takes: that of the teacher's of the ``'same'``
            number, or of the ``'last'``. Defaults to ``'same'``.
        loss_weight (float): Factor. Defaults to 1.

    Raises:
        UsageError: If an argument is none of those that it may be.
    """

    def __init__(self, activation: str = 'sigmoid', layers: str = 'same', loss_weight: float = 1.0) -> None:
        super().__init__(activation, layers, loss_weight)

    def summands(self, values: Sequence, target: Sequence, objects: Sequence[Objects]) -> list[Tensor]:
        """One a layer.

        Args:
            values (Sequence): The student's logits (N, Q, K) and boxes (N, Q, 4) for the teacher's queries, by layer.
            target (Sequence): The teacher's own.
            objects (Sequence[Objects]): Those of each image.

        Raises:
            UsageError: If they are not answers to the same queries.
        """
        mine, its = (halves('AssignedQueryLoss', side) for side in (values, target))
        terms = []
        for i, k in paired('AssignedQueryLoss', mine[0], its[0], self.layers):
            images = Layer(its[0][k], its[1][k]).images()
            assignment = [object_queries(*pair, self.activation) for pair in zip(images, objects)]
            terms.append(assigned_query(Layer(mine[0][i], mine[1][i]), assignment, objects, self.activation))
        return terms
