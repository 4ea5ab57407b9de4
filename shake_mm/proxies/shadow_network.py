"""A proxy teacher that is a network of its own (SHAKE's `alone` variant)."""

import copy

from mmengine.config import ConfigDict
from mmengine.model import BaseModule
from torch import Tensor

from ..registry import MODELS
from ..tasks import task_of


@MODELS.register_module()
class ShadowNetwork(BaseModule):
    """A second network of the student's architecture, with weights of its own (supplement, Table 1, `S + T'`).

    Nothing is shared but the images: a step costs a second student, and the proxy's gradients do not reach the
    student's body.

    Args:
        network (dict): Config of the classifier. The distiller fills in the student's if it is left out.
        source (str): The tap that holds the images.
        init_cfg (dict, optional): Initialization, see :class:`mmengine.model.BaseModule`.
    """

    reads = 'student.inputs'

    def __init__(self, network: dict, source: str = reads, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.source = source
        self.network = MODELS.build(ConfigDict(copy.deepcopy(network)))

    def forward(self, inputs: Tensor) -> Tensor:
        """Classify images.

        Args:
            inputs (Tensor): The student's batch, shape (N, 3, H, W).

        Returns:
            Tensor: Logits of shape (N, K).
        """
        return task_of(self.network).logits_of(self.network, self.network(inputs, mode='tensor'))
