"""Tokens that find regions of a teacher's pyramid (MasKD, Huang et al., ICLR 2023), and what they let through."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..losses.maskd import token_masks
from ..registry import MODELS


class _Importance(nn.Module):
    """How much each of the masks of an image counts: a 3x3 convolution, the mean over places, a linear layer.

    Args:
        channels (int): Of the map.
        tokens (int): Number of masks.
    """

    def __init__(self, channels: int, tokens: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.classify = nn.Linear(channels, tokens)
        for layer, fan_out in ((self.conv, 9 * channels), (self.classify, tokens)):
            nn.init.normal_(layer.weight, std=(2 / fan_out) ** 0.5)
            nn.init.zeros_(layer.bias)

    def forward(self, level: Tensor) -> Tensor:
        """Shares (N, T), of sum 1, of a map (N, C, H, W)."""
        return self.classify(self.conv(level).mean((2, 3))).softmax(1)


@MODELS.register_module()
class ReceptiveTokens(nn.Module):
    r"""Masks of the levels of a pyramid, one for each of T learned tokens, and how much each mask counts.

    It is a shared connector of ``source=['teacher0.f*']``. A token :math:`E_t` of a level F, a vector over channels, is
    looked for at each place: :math:`M_t = \sigma(E_t \cdot F)`. What the masks of an image count, w, is a softmax over
    them that a small network predicts of the level.

    Args:
        in_shape (list): Shapes (C, H, W) of the levels; the distiller fills them in.
        tokens (int): T, at least 2. Defaults to 6, the authors' for detectors.

    Raises:
        UsageError: If there are fewer, or the levels are not known.
    """

    def __init__(self, in_shape: Sequence[Any], tokens: int = 6) -> None:
        super().__init__()
        if tokens < 2:
            raise UsageError(f'ReceptiveTokens: tokens={tokens}, but it needs 2 at least, which are to differ.')
        if not isinstance(in_shape, list) or any(shape is None for shape in in_shape):
            raise UsageError(
                "ReceptiveTokens: `source` must name levels of a network that runs without data: ['teacher0.f*']."
            )
        self.tokens = nn.ParameterList(0.01 * torch.randn(tokens, shape[0]) for shape in in_shape)
        self.importance = nn.ModuleList(_Importance(shape[0], tokens) for shape in in_shape)

    def forward(self, levels: Sequence[Tensor]) -> list[list[Tensor]]:
        """Look for the tokens.

        Args:
            levels (Sequence[Tensor]): Maps (N, C, H, W).

        Returns:
            list[list[Tensor]]: By level each, the masks (N, T, H, W), what they count (N, T), and the tokens, the same
            for each image, (N, T, C).
        """
        levels = [level.to(own.dtype) for own, level in zip(self.tokens, levels)]
        masks = [token_masks(own, level) for own, level in zip(self.tokens, levels)]
        shares = [importance(level) for importance, level in zip(self.importance, levels)]
        return [masks, shares, [own.expand(len(level), -1, -1) for own, level in zip(self.tokens, levels)]]


@MODELS.register_module()
class MaskedPyramid(nn.Module):
    r"""A pyramid of which only what masks let through is left: :math:`\sum_t w_t M_t F` of each level F.

    It is a shared connector of ``source=['connectors.TOKENS', 'teacher0.f*']``, the first being a
    :class:`ReceptiveTokens`. Whether the teacher still finds its objects in it, an
    :class:`~shake_mm.losses.OwnLoss` tells.

    Args:
        in_shape (list): Shapes of the masks, of what they count, of the tokens, and of the levels; the distiller fills
            them in.

    Raises:
        UsageError: If they are not masks of these levels.
    """

    def __init__(self, in_shape: Sequence[Any]) -> None:
        super().__init__()
        _masked(in_shape)

    def forward(self, features: Sequence[Any]) -> list[Tensor]:
        """Let the levels through.

        Args:
            features (Sequence): What the tokens found, and the levels (N, C, H, W).

        Returns:
            list[Tensor]: Maps (N, C, H, W), by level.
        """
        masks, shares, levels = _masked(features)
        weights = [(mask * share[:, :, None, None]).sum(1, keepdim=True) for mask, share in zip(masks, shares)]
        return [level * weight for level, weight in zip(levels, weights)]


def _masked(values: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any], Sequence[Any]]:
    """Masks, what they count, and the levels."""
    found, levels = values[0], values[1:]
    if isinstance(found, list) and len(found) == 3 and all(isinstance(x, list) for x in found):
        if levels and len(found[0]) == len(levels):
            return found[0], found[1], levels
    raise UsageError(
        'MaskedPyramid: `source` must name a ReceptiveTokens and then the levels that it reads: '
        "['connectors.tokens', 'teacher0.f*']."
    )
