"""The logits that a detector's head predicts by: the first of its outputs, or what is computed of several."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from mmdet.models.dense_heads import (
    AnchorHead,
    DecoupledSOLOHead,
    FCOSHead,
    SOLOHead,
    TOODHead,
    YOLOV3Head,
    YOLOXHead,
)
from mmdet.models.losses import SeesawLoss
from torch import Tensor, nn

SURE = 30.0
"""The logit of an objectness that is certain."""


_SMALL = 1e-6
"""What probabilities are at least, and at most less than 1."""


class HeadLogits(NamedTuple):
    """How logits are read from a head's output, and put in their place.

    Args:
        outputs (tuple[int]): The elements of the output that they are computed of.
        read (callable): Computes them of these elements: of a dense head those of all levels.
        write (callable): What the head returns with other logits, given its output and these.
    """

    outputs: tuple[int, ...]
    read: Callable[..., Any]
    write: Callable[[Any, Any], Any]

    @property
    def plain(self) -> bool:
        """Whether they are the first of the outputs as it is."""
        return self.read is _first and self.outputs == (0,)

    def of(self, output: Any) -> Any:
        """The logits in a head's output; of a head that classifies alone it is the logits."""
        return self.read(*([output] if isinstance(output, Tensor) else (output[i] for i in self.outputs)))


def logits_of(head: nn.Module | None) -> HeadLogits:
    """How the logits of a head are read.

    Where an objectness stands beside the classes (YOLOX, YOLOv3), detections are scored by the product of both, and
    classes alone mean nothing in the background. The logits are those of the products. Seesaw's head has two
    softmaxes, of the classes and of objects against the background; its logits are the logarithms of the probabilities
    that they make together. TOOD's returns probabilities, of two branches together; its logits are theirs.
    A SOLO's stand behind the masks, or their kernels.
    """
    if isinstance(head, YOLOXHead):
        return HeadLogits((0, 2), _of_levels, _into_levels)
    if isinstance(head, YOLOV3Head):
        return HeadLogits((0,), _Packed(head.num_attrib).read, _Packed(head.num_attrib).write)
    if isinstance(head, TOODHead):
        return HeadLogits((0,), _of_probabilities, _into_probabilities)
    if isinstance(head, SOLOHead):
        place = 2 if isinstance(head, DecoupledSOLOHead) else 1
        return HeadLogits((place,), _first, _At(place).write)
    if isinstance(getattr(head, 'loss_cls', None), SeesawLoss):
        return HeadLogits((0,), seesaw, _into_seesaw)
    return HeadLogits((0,), _first, _into_first)


def classes_of(head: Any) -> tuple[int, str]:
    """How many channels a place of a dense head's logits has, and whether by ``'sigmoid'`` or ``'softmax'``."""
    kind = 'sigmoid' if getattr(head, 'use_sigmoid_cls', True) else 'softmax'
    return getattr(head, 'cls_out_channels', head.num_classes), kind


def weight_of(head: nn.Module | None) -> dict[str, float]:
    """What a divergence of a dense head's logits counts where a config leaves it open, as an argument of the loss.

    For FCOS and its kind it is a quarter, as was chosen on drawn digits: at its full weight it takes most of
    the gradient from the boxes. VFNet, which is of anchors too, is not among them.

    Args:
        head (nn.Module, optional): ``bbox_head``.
    """
    return {'loss_weight': 0.25} if isinstance(head, FCOSHead) and not isinstance(head, AnchorHead) else {}


def product(classes: Tensor, objectness: Tensor) -> Tensor:
    """Logits of the products of probabilities, whose logits are given; without overflow.

    With x and y, log(p / (1 - p)) of p = sigmoid(x) sigmoid(y) is -log(exp(-x) + exp(-y) + exp(-x - y)).
    """
    x, y = torch.broadcast_tensors(-classes, -objectness)
    return -torch.logsumexp(torch.stack([x, y, x + y]), dim=0)


def seesaw(scores: Tensor) -> Tensor:
    """Logarithms (R, C + 1) of the probabilities of the classes and the background of Seesaw's scores (R, C + 2)."""
    classes, objects = scores[..., :-2].log_softmax(-1), scores[..., -2:].log_softmax(-1)
    return torch.cat([classes + objects[..., :1], objects[..., 1:]], dim=-1)


def _first(output: Any) -> Any:
    return output if isinstance(output, Tensor) else list(output)


def _into_first(output: Any, logits: Any) -> Any:
    return (logits, *output[1:]) if isinstance(output, tuple) else logits


def _of_levels(classes: Any, objectness: Any) -> list[Tensor]:
    return [product(*level) for level in zip(classes, objectness)]


def _into_levels(output: Any, logits: Any) -> Any:
    classes, boxes, objectness = output
    return list(logits), boxes, [torch.full_like(level, SURE) for level in objectness]


def _of_probabilities(levels: Any) -> list[Tensor]:
    return [level.float().logit(eps=_SMALL) for level in levels]


def _into_probabilities(output: Any, logits: Any) -> Any:
    return ([level.sigmoid() for level in logits], *output[1:])


def _into_seesaw(output: Any, logits: Tensor) -> Any:
    classes, background = logits[..., :-1], logits[..., -1:]
    scores = torch.cat([classes, classes.logsumexp(-1, keepdim=True), background], dim=-1)
    return (scores, *output[1:]) if isinstance(output, tuple) else scores


class _At(NamedTuple):
    """Logits at a place of the output."""

    place: int

    def write(self, output: Any, logits: Any) -> Any:
        """The output with others in their place."""
        return (*output[: self.place], logits, *output[self.place + 1 :])


class _Packed(NamedTuple):
    """Maps (N, A * (5 + C), H, W) of YOLOv3: for each anchor the box, the objectness and the classes in turn."""

    number: int

    def read(self, maps: Any) -> list[Tensor]:
        """Maps (N, A * C, H, W) of the levels."""
        packed = [level.unflatten(1, (-1, self.number)) for level in maps]
        return [product(level[:, :, 5:], level[:, :, 4:5]).flatten(1, 2) for level in packed]

    def write(self, output: Any, logits: Any) -> Any:
        """The packed maps with these logits, of objects that are certain."""
        levels = []
        for old, new in zip(output[0], logits):
            old, new = old.unflatten(1, (-1, self.number)), new.unflatten(1, (-1, self.number - 5))
            sure = torch.full_like(old[:, :, 4:5], SURE)
            levels.append(torch.cat([old[:, :, :4], sure, new], dim=2).flatten(1, 2))
        return (tuple(levels),)
