"""Proxies that branch off the student's network at a level (ONE, CL, OKDDip)."""

import copy
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import MODELS
from ..tasks import task_of


@MODELS.register_module()
class ShadowBranch(BaseModule):
    """The student's layers behind a level once more, with weights of their own, on the features of that level.

    The layers up to the level are shared, and gradients of both reach them. What a branch pools is the tap
    ``proxy0.network.neck``.

    Args:
        network (dict): Config of a classifier: the student's, which the distiller fills in.
        in_shape (Sequence[int]): Shape (C, H, W) of the level; the distiller fills it in.
        level (int): How many stages the branch has of its own, counted from the end. Defaults to 1, as the source's.
        source (str): The tap of the level behind which the student branches. Defaults to the last but one.
        detach (bool): Whether its gradients end at that level, so that the layers before it learn from the student's
            own terms alone. Defaults to False.
        init_cfg (dict, optional): Initialization, see :class:`mmengine.model.BaseModule`.

    Raises:
        UsageError: If the network's backbone has no stages that could be run one by one.
    """

    reads = 'student.fl'

    def __init__(
        self,
        network: dict,
        in_shape: Any,
        level: int = 1,
        source: str = reads,
        detach: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.source, self.level, self.detach = source, level, detach
        self.network = MODELS.build(ConfigDict(copy.deepcopy(network)))
        number = self._number_of_stages()
        if not 1 <= level < number:
            raise UsageError(
                f'ShadowBranch: level={level}, but the network has {number} stages: use 1 to {number - 1}.'
            )
        self._drop_what_is_shared(in_shape)

    def forward(self, features: Any) -> Tensor:
        """Classify.

        Args:
            features (Tensor): Of the shared level, shape (N, C, H, W).

        Returns:
            Tensor: Logits of shape (N, K).
        """
        network, features = self.network, features[-1] if isinstance(features, (tuple, list)) else features
        feats = (self._own_stages(features.detach() if self.detach else features),)
        feats = network.neck(feats) if getattr(network, 'neck', None) is not None else feats
        return task_of(network).logits_of(network, network.head(feats))

    def _own_stages(self, x: Tensor) -> Tensor:
        backbone, number = self.network.backbone, self._number_of_stages()
        if hasattr(backbone, 'res_layers'):
            for name in backbone.res_layers[number - self.level :]:
                x = getattr(backbone, name)(x)
            return x
        for index in range(number - self.level + 1, number + 1):
            x = backbone.stage(index, x)
        return backbone.tail(x)

    def _number_of_stages(self) -> int:
        backbone: Any = getattr(self.network, 'backbone', None)
        layers = getattr(backbone, 'res_layers', None)
        if layers is not None:
            return len(layers)
        if not (hasattr(backbone, 'stage') and hasattr(backbone, 'tail')):
            raise UsageError(
                f'ShadowBranch: {type(backbone).__name__} has no stages that run one by one: use a network of the CRD '
                'benchmark, a ResNet of mmpretrain, or dict(type="ShadowHead").'
            )
        return backbone.num_stages

    def _drop_what_is_shared(self, in_shape: Any) -> None:
        """Keep the layers that a pass uses: a distributed run waits for gradients of all parameters."""
        used: set[nn.Module] = set()
        handles = [
            layer.register_forward_hook(lambda module, args, output: used.add(module))
            for layer in self.network.modules()
        ]
        modes = {layer: layer.training for layer in self.network.modules()}
        device = next(self.network.parameters()).device
        try:
            with torch.no_grad():
                self.network.eval()
                self(torch.zeros(1, *in_shape, device=device))
        finally:
            for handle in handles:
                handle.remove()
            for layer, mode in modes.items():
                layer.training = mode
        _prune(self.network, used)


def _prune(module: nn.Module, used: set[nn.Module]) -> None:
    for name, child in list(module.named_children()):
        if used.isdisjoint(child.modules()):
            module.add_module(name, nn.Identity())  # lists of layers keep their numbers
        else:
            _prune(child, used)
