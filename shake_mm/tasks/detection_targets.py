"""Where a dense head's own loss sees objects: noted while it computes, as that depends on what the head predicts."""

import inspect
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmdet.models.dense_heads import FreeAnchorRetinaHead, PAAHead
from mmdet.models.task_modules.assigners import ATSSAssigner, MaxIoUAssigner
from mmengine.dist import all_reduce
from torch import Tensor, nn

from ..errors import UsageError
from ..losses import Places

NOTED = ('places', 'valuable_places')
"""Facts of a batch that the student's own loss makes."""

GAMMA = 0.25
"""Of LD's valuable region: the share of the threshold of positives from which on a prior is in it."""


def check_targets(head: nn.Module | None, names: Collection[str]) -> None:
    """Refuse a head whose loss does not tell these facts.

    Raises:
        UsageError: With the reason.
    """
    wanted, kind = set(names) & set(NOTED), type(head).__name__
    if wanted and (not hasattr(head, 'get_targets') or isinstance(head, (FreeAnchorRetinaHead, PAAHead))):
        raise UsageError(
            f'student: a {kind} assigns no places of every level to objects (`get_targets`), which a loss asks for: '
            'leave the term out, or use another head.'
        )
    if 'valuable_places' in wanted and not isinstance(getattr(head, 'assigner', None), (ATSSAssigner, MaxIoUAssigner)):
        raise UsageError(
            f'student: the valuable region lies below the IoU from which on anchors are positive, and a {kind} assigns '
            'them otherwise: leave the term out, or use a head with an ATSSAssigner or a MaxIoUAssigner.'
        )


@contextmanager
def noting_targets(head: nn.Module | None, names: Collection[str]) -> Iterator[dict[str, Any]]:
    """While it is entered, what a dense head's loss assigns to objects is noted.

    Args:
        head (nn.Module): The student's.
        names (collection of str): Facts that are wanted, of :data:`NOTED`.

    Yields:
        dict: The facts by name, once the loss has run.
    """
    noted: dict[str, Any] = {}
    if head is None or not set(names) & set(NOTED):
        yield noted
        return
    plain = head.get_targets

    def watched(*args: Any, **kwargs: Any) -> Any:
        given = inspect.signature(plain).bind(*args, **kwargs).arguments
        anchors = [list(levels) for levels in given.get('anchor_list', ())]  # the call changes the lists
        targets, objects = plain(*args, **kwargs), given['batch_gt_instances']
        noted['places'] = places = places_of(head, targets, len(objects))
        if 'valuable_places' in names:
            noted['valuable_places'] = _valuable(head, anchors, places, objects)
        return targets

    head.get_targets = watched  # on the instance, in front of the class's
    try:
        yield noted
    finally:
        del head.get_targets
    if not noted:
        raise UsageError(f"student: a {type(head).__name__}'s own loss assigns no places, which a loss asks for.")


def places_of(head: nn.Module, targets: Sequence[Any], images: int) -> Places:
    """The labels in what a head's ``get_targets`` returns, and their weights.

    mmdet's heads return lists over levels: the labels are the first that hold integers, (N, P) or image by image in one
    row; their weights, where there are some, the first of the same shapes that hold numbers. Where an image has no
    object it counts as one, as in mmdet's own averages.

    Raises:
        UsageError: If there are no labels among them.
    """
    lists = [[level for level in value if isinstance(level, Tensor)] for value in targets if isinstance(value, list)]
    labels = next((levels for levels in lists if levels and levels[0].dtype == torch.long), None)
    if labels is None or any(level.numel() % images for level in labels):
        raise UsageError(f'student: how a {type(head).__name__} assigns places to objects is not known.')
    shapes = [level.shape for level in labels]
    weights = next(
        (ls for ls in lists if [x.shape for x in ls] == shapes and ls[0].is_floating_point()),
        [torch.ones_like(level, dtype=torch.float) for level in labels],
    )
    labels, weights = ([level.reshape(images, -1) for level in levels] for levels in (labels, weights))
    positive = [(level >= 0) & (level < head.num_classes) for level in labels]
    number = torch.cat(positive, dim=1).sum(1).clamp(min=1).sum().float()
    all_reduce(number, op='mean')
    return Places(positive, weights, number)


def _valuable(head: nn.Module, anchors: Sequence[list[Tensor]], places: Places, objects: Sequence[Any]) -> list[Tensor]:
    sizes = [level.shape[1] for level in places.weight]
    valid = torch.cat(places.weight, dim=1) > 0
    found = []
    for levels, own, instances in zip(anchors, valid, objects, strict=True):
        boxes = getattr(instances.bboxes, 'tensor', instances.bboxes)
        priors = torch.cat([getattr(level, 'tensor', level) for level in levels])
        threshold = positive_threshold(head.assigner, priors, boxes, own, sizes)
        found.append(valuable_region(priors, boxes, threshold) * own)
    return list(torch.stack(found).split(sizes, dim=1))


def positive_threshold(
    assigner: nn.Module, priors: Tensor, boxes: Tensor, valid: Tensor, sizes: Sequence[int]
) -> Tensor:
    """The IoU from which on priors are positive for each of n objects, shape (n,).

    Args:
        assigner (MaxIoUAssigner | ATSSAssigner): The first states it; by the second it is mean plus standard deviation
            of the overlaps with the priors nearest to the object, some of every level (Zhang et al., 2020).
        priors (Tensor): Shape (P, 4).
        boxes (Tensor): Of the objects, shape (n, 4).
        valid (Tensor): Whether a prior counts, shape (P,).
        sizes (Sequence[int]): Number of priors of each level.
    """
    if isinstance(assigner, MaxIoUAssigner):
        return boxes.new_full((len(boxes),), assigner.pos_iou_thr)
    if not len(boxes):
        return boxes.new_zeros(0)
    centers, middles = ((x[:, :2] + x[:, 2:]) / 2 for x in (priors, boxes))
    distance = (centers[:, None] - middles).norm(dim=-1)
    near, overlap = [], _overlap(priors, boxes)[0]
    for index in torch.arange(len(priors), device=priors.device).split(list(sizes)):
        index = index[valid[index]]
        chosen = distance[index].topk(min(assigner.topk, len(index)), dim=0, largest=False).indices
        near.append(overlap[index].gather(0, chosen))
    candidates = torch.cat(near)
    return candidates.mean(0) + candidates.std(0)


def valuable_region(priors: Tensor, boxes: Tensor, threshold: Tensor, gamma: float = GAMMA) -> Tensor:
    r"""LD's valuable localization region (Zheng et al., CVPR 2022, Algorithm 1), as the authors' release weighs it.

    A prior is in the region of an object whose threshold of positives is :math:`\alpha` if
    :math:`\gamma \alpha \le \mathrm{DIoU} < \alpha`, and counts by its largest IoU with an object in whose
    region it is.

    Args:
        priors (Tensor): Shape (P, 4), x1 y1 x2 y2.
        boxes (Tensor): Of n objects, shape (n, 4).
        threshold (Tensor): :math:`\alpha`, shape (n,).
        gamma (float): Defaults to 0.25.

    Returns:
        Tensor: What each prior counts, shape (P,).
    """
    if not len(boxes):
        return priors.new_zeros(len(priors))
    overlap, distanced = _overlap(priors, boxes)
    inside = (distanced >= gamma * threshold) & (distanced < threshold)
    return torch.where(inside, overlap, 0.0).amax(1)


def _overlap(priors: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and DIoU of all priors with all boxes, each (P, n)."""
    a, b = priors[:, None], boxes[None]
    shared = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    areas = [(x[..., 2:] - x[..., :2]).prod(-1) for x in (a, b)]
    overlap = shared / (areas[0] + areas[1] - shared).clamp(min=1e-6)
    around = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).square().sum(-1)
    apart = ((a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2).square().sum(-1)
    return overlap, overlap - apart / around.clamp(min=1e-6)
