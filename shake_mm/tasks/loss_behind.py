"""A network's own loss behind its trunk, of features that stand for what the trunk makes."""

import copy
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from ..errors import UsageError
from ..imports import loaded_class
from ..utils import twin_of


class LossBehind(nn.Module):
    """Computes a network's own loss by its own weights, as in training but for its norms and dropout.

    Args:
        network (nn.Module): One that begins its loss by ``extract_feat``, as OpenMMLab's do. It is no part of this, and
            none of its hooks runs.
        trunk (Sequence[str]): Names of its layers that this replaces, which need not run.
    """

    def __init__(self, network: nn.Module, trunk: Sequence[str]) -> None:
        super().__init__()
        self.__dict__['_network'] = network
        self.trunk = tuple(trunk)

    def forward(self, features: Sequence[Tensor], samples: Sequence[Any]) -> Tensor:
        """Evaluate the loss.

        Args:
            features (Sequence[Tensor]): In place of what ``extract_feat`` makes, maps (N, C, H, W).
            samples (Sequence): The samples of the batch, with their labels.

        Returns:
            Tensor: A scalar, the sum of all losses.
        """
        bare: Any = copy.copy(self._network)
        layers = self._network._modules.items()
        bare._modules = {name: nn.Identity() if name in self.trunk else layer for name, layer in layers}
        twin: Any = twin_of(bare)
        for layer in twin.modules():  # one by one: `train` of a network may look at its trunk
            layer.training = not isinstance(layer, (_BatchNorm, _DropoutNd))
        dtype = next((p.dtype for p in twin.parameters()), features[0].dtype)
        given = tuple(level.to(dtype) for level in features)
        object.__setattr__(twin, 'extract_feat', lambda *args, **kwargs: given)
        losses = twin.loss(given[0], list(samples))
        return _sum([value for name, value in losses.items() if 'loss' in name])


def loss_behind(network: nn.Module, name: str) -> LossBehind:
    """A network's own loss behind its trunk.

    Args:
        network (nn.Module): The network.
        name (str): The member's, for errors.

    Raises:
        UsageError: If what its loss begins with is not known, or it was built without what training takes.
    """
    if not hasattr(network, 'extract_feat') or not hasattr(network, 'loss'):
        raise UsageError(f'{name}: where the loss of a {type(network).__name__} reads features is not known.')
    anchored = loaded_class('mmdet.models.dense_heads.anchor_head', 'AnchorHead')
    if any(isinstance(layer, anchored) and not hasattr(layer, 'assigner') for layer in network.modules()):
        raise UsageError(f'{name}: it was built without its `train_cfg`, so it has no loss: give its config that.')
    return LossBehind(network, ('backbone', 'neck'))


def _sum(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return sum(map(_sum, value))
    return value.float().mean() if value.dim() else value.float() if value.element_size() < 4 else value
