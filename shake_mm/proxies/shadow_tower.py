"""A detector's shadow that shares the student's tower (SHAKE for the price of a linear layer)."""

from typing import Any

from ..errors import UsageError
from ..registry import MODELS
from .shadow_head import ShadowHead


@MODELS.register_module()
class ShadowTower(ShadowHead):
    """A shadow of a detector that owns the end of its classification branch and shares what stands before.

    A :class:`ShadowHead` of a detector is a whole branch: RetinaNet's four convolutions and predictor on every level,
    Faster R-CNN's two linear layers on every box. This one takes what the student's own layers made, up to a tap of
    its tower, so that their pass serves both and the gradients of both reach them. It exists in training only.

    Args:
        head (nn.Module): The branch. The distiller fills in one of the student's own architecture.
        source (str): The tap behind which the student and its shadow part: ``'student.cls_tower'``, which is behind
            the last layer but one, ``'student.cls_tower_last'``, where the shadow owns the predictor alone, or one of
            a number, ``'student.cls_tower2'``. In a head of boxes they are the layers that classes and boxes share.
        predictor (str, optional): What predicts the classes where the student has a convolution: ``'linear'``, a linear
            layer at each place, or ``'separable'``, a filter of the convolution's size in each channel before it.
            Defaults to a convolution as the student's.
        init_cfg (dict, optional): Initialization, see :class:`mmengine.model.BaseModule`.

    Raises:
        UsageError: If the student's classes depend on more than a tower, or there is none; if there is no such
            predictor.
    """

    reads = 'student.cls_tower'

    def __init__(
        self, head: Any, source: str = reads, predictor: str | None = None, init_cfg: dict | None = None
    ) -> None:
        super().__init__(head, source=source, init_cfg=init_cfg)
        if not hasattr(self.head, 'begin_behind'):
            raise UsageError(
                f'ShadowTower: a {type(self.head).__name__} has no tower to share: use dict(type="ShadowHead").'
            )
        self.head.begin_behind(source.partition('.')[2], predictor)
