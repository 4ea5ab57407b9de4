"""What losses of the queries of DETRs share: layers, confidence, boxes, and the assignment of one set to another."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn

from ..errors import UsageError
from .dense_box import box_distance
from .pair import in_full_precision

ACTIVATIONS = ('sigmoid', 'softmax')
LAYERS = ('last', 'same')
L1_WEIGHT, GIOU_WEIGHT = 5.0, 2.0
"""What DETR and its relatives weigh the two distances of boxes by."""


class Layer(NamedTuple):
    """What a layer of a decoder predicts of the queries of a batch, or of an image.

    Args:
        logits (Tensor): Shape (N, Q, K), or (Q, K).
        boxes (Tensor): Normalized centers and sizes, shape (N, Q, 4), or (Q, 4).
    """

    logits: Tensor
    boxes: Tensor

    def images(self) -> list['Layer']:
        """Of a batch, what it predicts of each image."""
        return [Layer(logits, boxes) for logits, boxes in zip(self.logits, self.boxes)]


class Objects(NamedTuple):
    """The objects of an image.

    Args:
        labels (Tensor): Shape (n,).
        boxes (Tensor): Normalized centers and sizes, shape (n, 4).
    """

    labels: Tensor
    boxes: Tensor


def check_choice(name: str, argument: str, value: str, known: Sequence[str]) -> None:
    """Refuse an argument of a loss that is none of those that it may be.

    Raises:
        UsageError: Naming the loss and the argument.
    """
    if value not in known:
        raise UsageError(f"{name}: {argument}='{value}', but it must be one of {tuple(known)}.")


def paired(
    name: str, mine: Sequence[Tensor], its: Sequence[Tensor], layers: str, same_queries: bool = True
) -> list[tuple[int, int]]:
    """Which layer of the teacher's decoder each layer of the student's is compared with.

    Args:
        name (str): The loss, named in errors.
        mine (Sequence[Tensor]): Predictions (N, Q, .) of the student's layers.
        its (Sequence[Tensor]): Those of the teacher's.
        layers (str): ``'last'``: all with the last; ``'same'``: each with that of its number.
        same_queries (bool): Whether both must be of the same queries. Defaults to True.

    Raises:
        UsageError: If there are not as many layers, or they are of other queries or classes.
    """
    first = 1 if same_queries else 2
    shapes = [{(len(x), *x.shape[first:]) if x.dim() == 3 else x.shape for x in side} for side in (mine, its)]
    if len(shapes[0]) != 1 or shapes[0] != shapes[1] or len(min(shapes[0])) != 4 - first:
        found = ' and '.join(str(sorted({tuple(x.shape) for x in side})) for side in (mine, its))
        raise UsageError(
            f'{name}: it compares shapes {found}, but they must be what two decoders make of '
            f'{"the same" if same_queries else "their"} queries, (N, Q, C): name logits or boxes of two DETRs'
            f'{", of one of them what `TeacherQueries` or `RandomQueries` makes" if same_queries else ""}.'
        )
    if layers == 'same' and len(mine) != len(its):
        raise UsageError(
            f"{name}: the student's decoder has {len(mine)} layers and the teacher's {len(its)}: give both as many, or "
            "the loss layers='last'."
        )
    return [(i, i if layers == 'same' else len(its) - 1) for i in range(len(mine))]


def foreground(logits: Tensor, activation: str) -> Tensor:
    """The largest probability of a class, (N, Q); of a softmax, whose last channel is the background, of the others."""
    return (logits.sigmoid() if activation == 'sigmoid' else logits.softmax(-1)[..., :-1]).amax(-1)


def corners(boxes: Tensor) -> Tensor:
    """Centers and sizes (..., 4) as x1 y1 x2 y2."""
    return torch.cat([boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2], dim=-1)


def box_sum(boxes: Tensor, target: Tensor, weight: Tensor, l1: float = L1_WEIGHT, giou: float = GIOU_WEIGHT) -> Tensor:
    """Weighted sum of both distances of boxes (N, Q, 4), as a scalar; weights are (N, Q)."""
    total = l1 * box_distance(boxes, target, weight, 'l1')
    return total + giou * box_distance(corners(boxes), corners(target), weight, 'giou')


def box_costs(boxes: Tensor, others: Tensor) -> Tensor:
    """Both distances of all pairs of boxes (m, 4) and (n, 4), weighed, in a matrix (m, n)."""
    l1 = torch.cdist(boxes, others, p=1)
    a, b = corners(boxes)[:, None], corners(others)[None]
    shared = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    around = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).prod(-1).clamp(min=1e-6)
    union = ((a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - shared).clamp(min=1e-6)
    return L1_WEIGHT * l1 + GIOU_WEIGHT * (1 - shared / union + (around - union) / around)


def assign(costs: Tensor) -> tuple[Tensor, Tensor]:
    """The pairs of rows and columns of least total cost, each in one pair at most (the Hungarian algorithm).

    It waits for the processor of the costs, as the loss of every DETR does.

    Args:
        costs (Tensor): Shape (m, n).

    Returns:
        tuple[Tensor, Tensor]: Indices of the rows, rising, and of their columns.
    """
    from scipy.optimize import linear_sum_assignment  # mmdet's assigner needs it too

    rows, columns = linear_sum_assignment(costs.detach().cpu().nan_to_num(1e6, 1e6, -1e6).numpy())
    return torch.as_tensor(rows, device=costs.device), torch.as_tensor(columns, device=costs.device)


def mean_number(queries: Sequence[Tensor], like: Tensor) -> Tensor:
    """How many queries there are in all images, at least 1, the mean over processes; of the kind of another tensor."""
    number = like.new_tensor(float(sum(map(len, queries))))
    all_reduce(number, op='mean')
    return number.clamp(min=1)


def object_queries(layer: Layer, objects: Objects, activation: str) -> tuple[Tensor, Tensor]:
    r"""The queries that predict the objects best, one each, and the objects: DETR's bipartite matching.

    The cost of a pair is :math:`-p_{c}` of the object's class :math:`c`, plus the distances of the boxes.

    Args:
        layer (Layer): Predictions of Q queries of an image.
        objects (Objects): Its n objects.
        activation (str): Of the class logits, ``'sigmoid'`` or ``'softmax'``.

    Returns:
        tuple[Tensor, Tensor]: Indices of queries and of their objects, n each (Q, where there are more objects).
    """
    scores = layer.logits.sigmoid() if activation == 'sigmoid' else layer.logits.softmax(-1)
    return assign(box_costs(layer.boxes, objects.boxes) - scores[:, objects.labels])


def objects_of(boxes: Sequence[Tensor], labels: Sequence[Tensor], shapes: Sequence[tuple[int, int]]) -> list[Objects]:
    """The objects of a batch.

    Args:
        boxes (Sequence[Tensor]): Of each image, in pixels, shape (n, 4), x1 y1 x2 y2.
        labels (Sequence[Tensor]): Of each image, shape (n,).
        shapes (Sequence[tuple[int, int]]): Height and width of each image.
    """
    found = []
    for box, label, (height, width) in zip(boxes, labels, shapes):
        box = box / box.new_tensor([width, height, width, height])
        found.append(Objects(label, torch.cat([(box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2]], dim=1)))
    return found


def halves(name: str, value: Sequence) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """Logits and boxes by layer, given as two lists or one after the other.

    Raises:
        UsageError: If they are no logits and boxes of as many layers.
    """
    half = len(value) // 2
    logits, boxes = value if len(value) == 2 and isinstance(value[0], (list, tuple)) else (value[:half], value[half:])
    if not len(logits) or len(logits) != len(boxes) or any(x.shape[-1] != 4 or x.dim() != 3 for x in boxes):
        raise UsageError(
            f"{name}: it compares logits and boxes of as many layers of a decoder: give ['student.logits', "
            "'student.boxes'] and the same of the teacher."
        )
    return logits, boxes


class QueryLoss(nn.Module):
    """What losses of two decoders' answers to the same queries have in common.

    Args:
        activation (str): Of the class logits that weigh the queries.
        layers (str): What each layer of the student's is compared with.
        normalize (str): ``'weights'`` or ``'sum'``.
        loss_weight (float): Factor.

    Raises:
        UsageError: If an argument is none of those that it may be.
    """

    def __init__(self, activation: str, layers: str, normalize: str, loss_weight: float) -> None:
        super().__init__()
        name = type(self).__name__
        check_choice(name, 'activation', activation, ACTIVATIONS)
        check_choice(name, 'layers', layers, LAYERS)
        check_choice(name, 'normalize', normalize, ('weights', 'sum'))
        self.activation, self.layers, self.normalize = activation, layers, normalize
        self.loss_weight = loss_weight

    def weights(self, seen: Tensor) -> Tensor:
        """What each query (N, Q) counts: the confidence of the logits (N, Q, K), over their sum if that is asked."""
        weight = foreground(seen, self.activation).detach()
        return weight / weight.sum().clamp(min=1e-6) if self.normalize == 'weights' else weight


class ObjectLoss(nn.Module):
    """What losses of DETRs have in common that ask which objects there are.

    Args:
        activation (str): Of the class logits, ``'sigmoid'``, or ``'softmax'`` with the background last.
        layers (str): Which of the teacher's layers each layer of the student's is compared with.
        loss_weight (float): Factor.

    Raises:
        UsageError: If an argument is none of those that it may be.
    """

    def __init__(self, activation: str, layers: str, loss_weight: float) -> None:
        super().__init__()
        name = type(self).__name__
        check_choice(name, 'activation', activation, ACTIVATIONS)
        check_choice(name, 'layers', layers, LAYERS)
        self.activation, self.layers, self.loss_weight = activation, layers, loss_weight

    def summands(self, values: Sequence, target: Sequence, objects: Sequence[Objects]) -> list[Tensor]:
        """The scalars whose sum is the loss, of a batch with its objects; each loss has its own."""
        raise NotImplementedError

    def forward(
        self,
        values: Sequence,
        target: Sequence,
        gt_bboxes: Sequence[Tensor],
        gt_labels: Sequence[Tensor],
        img_shapes: Sequence[tuple[int, int]],
    ) -> Tensor:
        """Evaluate the loss.

        Args:
            values (Sequence): What of the student is compared, as the loss says.
            target (Sequence): What of the teacher it is compared with.
            gt_bboxes (Sequence[Tensor]): Of each image, in pixels, shape (n, 4), x1 y1 x2 y2.
            gt_labels (Sequence[Tensor]): Of each image, shape (n,).
            img_shapes (Sequence[tuple[int, int]]): Height and width of each image.

        Returns:
            Tensor: A scalar, the sum over layers.

        Raises:
            UsageError: If the two do not belong together.
        """
        return in_full_precision(self._evaluate, values, target, list(gt_bboxes), list(gt_labels), img_shapes)

    def _evaluate(self, values: Sequence, target: Sequence, *objects: Sequence) -> Tensor:
        return self.loss_weight * torch.stack(self.summands(values, target, objects_of(*objects))).sum()
