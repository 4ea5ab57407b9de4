"""The boxes that a dense head predicts, decoded from its maps, of every prior of every level."""

from collections.abc import Callable, Sequence
from functools import partial

from mmdet.models.dense_heads import CondInstBboxHead, FCOSHead, RTMDetHead
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from mmdet.models.task_modules.prior_generators import AnchorGenerator
from mmdet.structures.bbox import distance2bbox
from torch import Tensor, nn

from ..taps import Absent, Alias, Combined

_AS_FCOS = (FCOSHead.forward_single, CondInstBboxHead.forward_single)
"""Passes that make distances as FCOS does."""

Decode = Callable[[Sequence[Tensor]], list[Tensor]]


def boxes_of(head: nn.Module | None) -> Decode | None:
    """How the maps of boxes of a dense head, its second output, are decoded; None of a head that is not known.

    What comes out are boxes (N, P, 4) of each level, x1 y1 x2 y2, for the P priors of the level in the order of its
    class logits' places: row by row, and at each place the anchors in turn.
    """
    if is_distributional(head):
        return partial(_of_distributions, head)
    if isinstance(getattr(head, 'bbox_coder', None), DeltaXYWHBBoxCoder) and isinstance(
        getattr(head, 'prior_generator', None), AnchorGenerator
    ):
        return partial(_of_deltas, head)
    if isinstance(head, RTMDetHead) or getattr(type(head), 'forward_single', None) in _AS_FCOS:
        return partial(_of_distances, head)
    return None


def box_aliases(head: nn.Module | None, levels: int) -> dict[str, Alias]:
    """Taps of the boxes that a dense head predicts: ``boxes``, ``box_maps`` and, of GFL's family, ``sides``.

    Args:
        head (nn.Module): The head.
        levels (int): Number of levels of the pyramid.
    """
    kind, decode = type(head).__name__, boxes_of(head)
    unknown = Absent(f'how a {kind} codes its boxes is not known, distill logits or features (f1, f2, …)')
    plain = Absent(f'a {kind} predicts no distributions of the sides of boxes, as the GFL family does')
    maps = tuple(f'bbox_head[1][{i}]' for i in range(levels))
    return {
        'box_maps': unknown if decode is None else maps,
        'boxes': unknown if decode is None else Combined(maps, partial(_listing, decode)),
        'sides': maps if is_distributional(head) else plain,
    }


def _listing(decode: Decode, *maps: Tensor) -> list[Tensor]:
    """Decode maps that are given one by one."""
    return decode(maps)


def is_distributional(head: nn.Module | None) -> bool:
    """Whether the maps hold a distribution of the distance of each of four sides, as GFL's."""
    return hasattr(head, 'integral') and isinstance(getattr(head, 'reg_max', None), int)


def rows(level: Tensor, channels: int) -> Tensor:
    """A map (N, A * C, H, W) as rows (N, H * W * A, C) of its priors."""
    return level.permute(0, 2, 3, 1).reshape(len(level), -1, channels)


def _priors(head: nn.Module, maps: Sequence[Tensor]) -> list[Tensor]:
    sizes = [level.shape[-2:] for level in maps]
    return head.prior_generator.grid_priors(sizes, dtype=maps[0].dtype, device=maps[0].device)


def _of_deltas(head: nn.Module, maps: Sequence[Tensor]) -> list[Tensor]:
    """RetinaNet, ATSS: deltas of anchors."""
    decoded = []
    for level, anchors in zip(maps, _priors(head, maps), strict=True):
        deltas = rows(level, 4)
        every = anchors.expand(len(deltas), -1, -1).reshape(-1, 4)
        decoded.append(head.bbox_coder.decode(every, deltas.reshape(-1, 4)).view_as(deltas))
    return decoded


def _of_distributions(head: nn.Module, maps: Sequence[Tensor]) -> list[Tensor]:
    """GFL: the mean of each side's distribution is its distance from the center of the anchor, in strides."""
    decoded, bins = [], head.reg_max + 1
    for level, anchors, stride in zip(maps, _priors(head, maps), head.prior_generator.strides, strict=True):
        sides = rows(level, 4 * bins)
        distances = head.integral(sides.reshape(-1, 4 * bins)).view(*sides.shape[:2], 4)
        centers = (anchors[:, :2] + anchors[:, 2:]) / 2
        decoded.append(distance2bbox(centers.expand(len(sides), -1, -1), distances * stride[0]))
    return decoded


def _of_distances(head: nn.Module, maps: Sequence[Tensor]) -> list[Tensor]:
    """FCOS, RTMDet: distances of the sides from points, which FCOS in training may count in strides."""
    in_strides = getattr(head, 'norm_on_bbox', False) and head.training
    decoded = []
    for level, points, stride in zip(maps, _priors(head, maps), head.prior_generator.strides, strict=True):
        distances = rows(level, 4) * (stride[0] if in_strides else 1)
        decoded.append(distance2bbox(points.expand(len(distances), -1, -1), distances))
    return decoded
