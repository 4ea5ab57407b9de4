"""What a classifier says of parts of an image (scale decoupled distillation; Wei et al., CVPR 2024)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UsageError
from ..registry import MODELS


@MODELS.register_module()
class RegionalLogits(nn.Module):
    r"""The logits of square regions of a map, at several scales, by the network's own classifier.

    At the scale :math:`m` the map is pooled to :math:`m \times m` regions, each of which is classified as the pooled
    map of a whole image is. On the student's side the classifier learns from all of them.

    Args:
        classifier (nn.Module): Classifies pooled features (N, C), with the weights of the network that the map is of,
            which do not become a part of this. The distiller fills it in.
        scales (Sequence[int]): :math:`m`. Defaults to (1, 2, 4), of which 1 is the whole map.

    Shape:
        - Input: :math:`(N, C, H, W)`
        - Output: :math:`(N, \sum m^2, K)`

    Raises:
        UsageError: If the first scale is not 1.
    """

    def __init__(self, classifier: nn.Module, scales: Sequence[int] = (1, 2, 4)) -> None:
        super().__init__()
        if not scales or scales[0] != 1 or any(scale < 1 for scale in scales):
            raise UsageError(f'RegionalLogits: scales is {tuple(scales)}, but it must begin with 1, the whole map.')
        self.scales = tuple(scales)
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        """Classify the regions of maps (N, C, H, W), the whole map first."""
        regions = torch.cat([F.adaptive_avg_pool2d(x, scale).flatten(2) for scale in self.scales], dim=2)
        pooled = regions.transpose(1, 2)
        return self.classifier(pooled.flatten(0, 1)).unflatten(0, pooled.shape[:2])
