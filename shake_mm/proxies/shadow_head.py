"""The shadow head: a proxy teacher on the student's own backbone (SHAKE, the `share` variant)."""

from typing import Any

from mmengine.model import BaseModule
from torch import Tensor

from ..registry import MODELS, build_part


@MODELS.register_module()
class ShadowHead(BaseModule):
    """A second classification head, with weights of its own, on the features that the student's head reads.

    One backbone pass serves both heads, and the gradients of both reach the backbone. It exists in training only.

    Args:
        head (dict): Config of the head. The distiller fills in the student's own head if it is left out.
        neck (dict, optional): Config of layers before the head, for a stronger shadow (main paper, Table 5 c), such as
            ``dict(type='ShadowNeck')``.
        detach (bool): Whether its gradients end at what it reads, so that the proxy learns by itself and the student's
            backbone from the student's own terms alone. Defaults to False.
        source (str, optional): The tap that the shadow reads. The task's default is the input of the student's head.
        init_cfg (dict, optional): Initialization, see :class:`mmengine.model.BaseModule`.
    """

    def __init__(
        self,
        head: dict,
        neck: dict | None = None,
        source: str = 'student.feats',
        detach: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.source, self.detach = source, detach
        self.neck = None if neck is None else build_part(neck)
        self.head = build_part(head)

    def forward(self, feats: Any) -> Tensor:
        """Classify.

        Args:
            feats (Tensor | tuple[Tensor]): What the tap ``source`` holds.

        Returns:
            Tensor: Logits of shape (N, K).
        """
        feats = detached(feats) if self.detach else feats
        return self.head(feats if self.neck is None else self.neck(feats))


def detached(value: Any) -> Any:
    """Tensors, or tuples and lists of them, through which no gradient passes."""
    return type(value)(map(detached, value)) if isinstance(value, (tuple, list)) else value.detach()
