"""A proxy teacher that the student has already: DeiT's distillation token with its head."""

from mmengine.model import BaseModule
from torch import Tensor

from ..registry import MODELS


@MODELS.register_module()
class ShadowToken(BaseModule):
    """The logits of DeiT's distillation token as the proxy's (supplement, section 1.3).

    The token runs through the transformer beside the class token and has a head of its own, so that nothing is added:
    this proxy hands on what the student's layer computed. Its gradients train that head, the token and the shared body.

    The student's own logits have to be those of the class token alone: mmpretrain's ``DeiTClsHead`` returns the mean of
    both, hence ``student=dict(config=…, taps=dict(logits='head.layers.head'))``.

    Args:
        source (str): The tap of the token's logits.
        init_cfg (dict, optional): See :class:`mmengine.model.BaseModule`.
    """

    reads = 'student.head.layers.head_dist'

    def __init__(self, source: str = reads, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.source = source

    def forward(self, logits: Tensor) -> Tensor:
        """Hand on the token's logits, shape (N, K)."""
        return logits
