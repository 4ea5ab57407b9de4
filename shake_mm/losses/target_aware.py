"""Features of a DETR where a teacher's good queries look (DETRDistill; Chang et al., ICCV 2023)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import UsageError
from ..registry import MODELS
from ..validation import check_number
from .pair import check_equal, full_precision
from .queries import Layer, ObjectLoss, Objects, corners, foreground

FLOOR = 0.01


@full_precision
def target_aware(feature: Tensor, target: Tensor, states: Tensor, quality: Tensor) -> Tensor:
    r"""Squared distance of maps, weighed at each place by how much the teacher's good queries are like its features.

    .. math::
        L = \frac{1}{N d H W} \sum_{n, p} \psi_{np}^2 \lVert F^T_{np} - F^S_{np} \rVert_2^2, \qquad
        \psi_{np} = \frac{a_{np}}{\max_{p'} a_{np'}}, \qquad
        a_{np} = \max\Big(0.01, \sum_{i=1}^{M} q_{ni} \cos(F^T_{np}, Q_{ni})\Big)

    Args:
        feature (Tensor): :math:`F^S`, shape (N, d, H, W).
        target (Tensor): :math:`F^T`, of the same shape; it gets no gradient.
        states (Tensor): :math:`Q`, what a layer of the teacher's decoder made of its M queries, shape (N, M, d).
        quality (Tensor): :math:`q`, shape (N, M).

    Returns:
        Tensor: A scalar.
    """
    target = target.detach()
    sides = F.normalize(target, dim=1), F.normalize(states.detach(), dim=2)
    attention = torch.einsum('nchw,nmc,nm->nhw', *sides, quality.detach()).clamp(min=FLOOR)
    mask = attention / attention.amax((1, 2), keepdim=True)
    return (mask[:, None] * (target - feature)).square().mean()


def query_quality(layer: Layer, objects: Sequence[Objects], activation: str, gamma: float) -> Tensor:
    r"""How good queries are, :math:`q = c^\gamma \, \mathrm{IoU}^{1 - \gamma}`, shape (N, M).

    c is the largest probability of a class, and IoU the largest with an object. In an image without objects the second
    factor is 1.

    Args:
        layer (Layer): Predictions (N, M, .).
        objects (Sequence[Objects]): Those of each image.
        activation (str): Of the logits, ``'sigmoid'`` or ``'softmax'``.
        gamma (float): :math:`\gamma`, from 0 to 1.
    """
    scores = foreground(layer.logits, activation)
    rows = []
    for score, boxes, own in zip(scores, layer.boxes, objects):
        overlap = _overlap(boxes, own.boxes) if len(own.boxes) else torch.ones_like(score)
        rows.append(score**gamma * overlap ** (1 - gamma))
    return torch.stack(rows)


def _overlap(boxes: Tensor, objects: Tensor) -> Tensor:
    """The largest IoU of each box (M, 4) with an object (n, 4), both centers and sizes."""
    a, b = corners(boxes)[:, None], corners(objects)[None]
    shared = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    union = boxes[:, None, 2:].prod(-1) + objects[None, :, 2:].prod(-1) - shared
    return (shared / union.clamp(min=1e-9)).amax(1)


@MODELS.register_module()
class TargetAwareLoss(ObjectLoss):
    """:func:`target_aware` of levels, summed over them and over the layers of the teacher's decoder.

    A term's ``of`` names levels, and its ``to`` those of the teacher and then its ``states``, ``logits`` and ``boxes``.

    Args:
        gamma (float): What the class counts in a query's quality, and 1 - gamma the box. Defaults to 0.5.
        activation (str): Of the class logits, ``'sigmoid'``, or ``'softmax'`` with the background last. Defaults to
            ``'sigmoid'``.
        loss_weight (float): Factor. Defaults to 1.

    Raises:
        UsageError: If an argument is none of those that it may be.
    """

    def __init__(self, gamma: float = 0.5, activation: str = 'sigmoid', loss_weight: float = 1.0) -> None:
        super().__init__(activation, 'last', loss_weight)  # all layers of the teacher's decoder count
        check_number('TargetAwareLoss: gamma', gamma)
        if gamma > 1:
            raise UsageError(f'TargetAwareLoss: gamma={gamma}, but it must be from 0 to 1.')
        self.gamma = gamma

    def summands(self, values: Sequence, target: Sequence, objects: Sequence[Objects]) -> list[Tensor]:
        """One a level and layer of the teacher's decoder.

        Args:
            values (Sequence[Tensor]): The student's levels, each of shape (N, d, H, W).
            target (Sequence): The teacher's levels, and then of its decoder the states (N, M, d), logits (N, M, K) and
                boxes (N, M, 4), each a list over layers.
            objects (Sequence[Objects]): Those of each image.

        Raises:
            UsageError: If they do not belong together.
        """
        theirs, decoder = _parts(values, target)
        terms = []
        for states, logits, boxes in decoder:
            quality = query_quality(Layer(logits, boxes), objects, self.activation, self.gamma)
            terms += [target_aware(*pair, states, quality) for pair in zip(values, theirs)]
        return terms


def _parts(levels: Sequence[Tensor], target: Sequence) -> tuple[list[Tensor], list[list[Tensor]]]:
    """The teacher's levels, and what each layer of its decoder makes; given so, or one tensor after the other."""
    flat = [x for part in target for x in (part if isinstance(part, (list, tuple)) else [part])]
    theirs, rest = flat[: len(levels)], flat[len(levels) :]
    layers = [rest[i :: len(rest) // 3] for i in range(len(rest) // 3)] if len(rest) % 3 == 0 else []
    if not layers or any(x.dim() != 4 for x in theirs) or any(x.dim() != 3 for x in rest):
        raise UsageError(
            "TargetAwareLoss: `of` names levels and `to` as many, and then three taps of a decoder: of=['student.f*'], "
            "to=['teacher0.f*', 'teacher0.states', 'teacher0.logits', 'teacher0.boxes']."
        )
    for level, other in zip(levels, theirs):
        check_equal('TargetAwareLoss', level, other)
        if layers[0][0].shape[2] != other.shape[1]:
            raise UsageError(
                f"TargetAwareLoss: the teacher's level has {other.shape[1]} channels and its queries "
                f'{layers[0][0].shape[2]}: name levels that its encoder reads, as wide as its queries.'
            )
    return theirs, layers
