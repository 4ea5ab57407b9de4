"""The linear embedding of correlation congruence and of contrastive representation distillation."""

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from ..registry import MODELS


@MODELS.register_module()
class Embedding(nn.Module):
    """Flattens, applies a linear layer, and optionally scales to unit length.

    Args:
        in_shape (Sequence[int]): Shape of what is read without the batch, (C,) or (C, H, W).
        out_channels (int): Length of the embedding. Defaults to 128.
        normalize (bool): Whether embeddings are divided by their length. Defaults to False.

    Shape:
        - Input: :math:`(N, C)` or :math:`(N, C, H, W)`
        - Output: :math:`(N, D)`

    Example:
        >>> Embedding((64,), 8)(torch.rand(2, 64)).shape
        torch.Size([2, 8])
    """

    def __init__(self, in_shape: Sequence[int], out_channels: int = 128, normalize: bool = False) -> None:
        super().__init__()
        self.linear = nn.Linear(math.prod(in_shape), out_channels)
        self.normalize = normalize

    def forward(self, x: Tensor) -> Tensor:
        """Embed features of shape (N, ...) as rows of ``out_channels`` numbers."""
        x = self.linear(x.flatten(1))
        return F.normalize(x) if self.normalize else x
