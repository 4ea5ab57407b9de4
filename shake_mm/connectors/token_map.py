"""The tokens of a vision transformer as a map."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from ..errors import UsageError
from ..registry import MODELS


@MODELS.register_module()
class TokenMap(nn.Module):
    """Puts the tokens of patches where their patches are; what stands before them is left out.

    A transformer's layer makes (N, L, C): perhaps a class token and registers, then the patches, row by row. Timm's,
    transformers' and mmpretrain's do.

    Args:
        in_shape (Sequence[int]): (L, C) of the tokens.
        prefix (int, optional): How many tokens stand before the patches: 1 of a ViT, 5 of a DINOv2 with registers. By
            default what is more than the largest square number of patches.
        grid (Sequence[int], optional): Height and width in patches. Defaults to a square.

    Shape:
        - Input: :math:`(N, L, C)`
        - Output: :math:`(N, C, H, W)`

    Raises:
        UsageError: If they are no tokens, or the numbers do not add up.

    Example:
        >>> TokenMap((197, 192))(torch.rand(2, 197, 192)).shape
        torch.Size([2, 192, 14, 14])
    """

    def __init__(self, in_shape: Sequence[int], prefix: int | None = None, grid: Sequence[int] | None = None) -> None:
        super().__init__()
        if len(in_shape) != 2:
            raise UsageError(
                f'TokenMap: in_shape is {tuple(in_shape)}, but tokens are (L, C): tap a block of a vision transformer, '
                'such as teacher0.network.blocks.11.'
            )
        length = in_shape[0]
        side = math.isqrt(length if prefix is None else max(length - prefix, 0))
        self.grid = (side, side) if grid is None else tuple(grid)
        self.prefix = length - math.prod(self.grid) if prefix is None else prefix
        if self.prefix < 0 or self.prefix + math.prod(self.grid) != length or not math.prod(self.grid):
            raise UsageError(
                f'TokenMap: {length} tokens are not {self.prefix} and a grid of {self.grid}: set `prefix` to the '
                'number of tokens before the patches, and `grid` to their rows and columns.'
            )

    def forward(self, tokens: Tensor) -> Tensor:
        """A map (N, C, H, W) of tokens (N, L, C)."""
        return tokens[:, self.prefix :].transpose(1, 2).unflatten(2, self.grid)
