"""The attention based fusion of knowledge review (Chen et al., 2021)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UsageError
from ..registry import MODELS

MAX_MID_CHANNELS = 512


class AttentionFusion(nn.Module):
    r"""One level: fuses its features with those of all deeper levels, by weights at every position.

    With :math:`r` the residual of the next deeper level, enlarged or reduced to the size of :math:`x`,

    .. math::
        z = \mathrm{BN}(\mathrm{conv}_{1 \times 1}(x)), \quad
        (a, b) = \sigma\big(\mathrm{conv}_{1 \times 1}([z, r])\big), \quad
        r' = \mathrm{resize}(a z + b r), \quad
        y = \mathrm{BN}(\mathrm{conv}_{3 \times 3}(r'))

    All resizing takes the nearest position. The deepest level has no :math:`r`, and :math:`r' = \mathrm{resize}(z)`.

    Args:
        in_channels (int): Channels of :math:`x`.
        mid_channels (int): Channels of the residuals.
        out_channels (int): Channels of :math:`y`.
        fuse (bool): Whether there is a deeper level.
    """

    def __init__(self, in_channels: int, mid_channels: int, out_channels: int, fuse: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, mid_channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(mid_channels)
        self.attention = nn.Conv2d(2 * mid_channels, 2, 1) if fuse else None
        self.conv2 = nn.Conv2d(mid_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        for convolution in (self.conv1, self.conv2):
            nn.init.kaiming_uniform_(convolution.weight, a=1)

    def forward(self, x: Tensor, residual: Tensor | None, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Fuse a level with the deeper ones.

        Args:
            x (Tensor): The level, shape (N, C_in, H, W).
            residual (Tensor, optional): Of the next deeper level, shape (N, C_mid, ., .).
            size (tuple[int, int]): Height and width of the result.

        Returns:
            tuple[Tensor, Tensor]: The result of C_out channels and the residual of C_mid, both of that size.
        """
        x = self.bn1(self.conv1(x))
        if self.attention is not None:
            residual = _resize(residual, x.shape[2:])
            weights = self.attention(torch.cat([x, residual], 1)).sigmoid()
            x = x * weights[:, :1] + residual * weights[:, 1:]
        x = _resize(x, size)
        return self.bn2(self.conv2(x)), x


@MODELS.register_module()
class ReviewFusion(nn.Module):
    r"""Rebuild the teacher's features of every level from the student's of that level and all deeper ones.

    From the deepest level to the shallowest, an :class:`AttentionFusion` turns a level and the residual of the one
    below into features of the teacher's shape. Its usual loss is :class:`~shake_mm.losses.HCLLoss`.

    The sizes are those of the features that come in: a level that has :math:`q` times the size it was built for gives
    :math:`q` times the teacher's, rounded, half up as strided layers do.

    Args:
        in_shape (Sequence[Sequence[int]]): Of each level, shallow to deep, (C, H, W), or (C,) of a pooled vector, which
            counts as a 1x1 map.
        out_shape (Sequence[Sequence[int]]): Of the teacher's levels, likewise.
        mid_channels (int, optional): Channels of the residuals. Defaults to those of the student's deepest level, 512
            at most.

    Shape:
        - Input: list of :math:`(N, C_{in}, H_{in}, W_{in})` or :math:`(N, C_{in})`
        - Output: list of :math:`(N, C_{out}, H_{out}, W_{out})`; :math:`(N, C_{out})` where ``out_shape`` is (C,)

    Raises:
        UsageError: If there are not as many levels on both sides, or the shapes are not those of maps or vectors.

    Example:
        >>> fusion = ReviewFusion([(8, 4, 4), (16,)], [(32, 8, 8), (64,)])
        >>> [tuple(y.shape) for y in fusion([torch.rand(2, 8, 4, 4), torch.rand(2, 16)])]
        [(2, 32, 8, 8), (2, 64)]
    """

    def __init__(
        self, in_shape: Sequence[Sequence[int]], out_shape: Sequence[Sequence[int]], mid_channels: int | None = None
    ) -> None:
        super().__init__()
        _check(in_shape, out_shape)
        if mid_channels is None:
            mid_channels = min(MAX_MID_CHANNELS, in_shape[-1][0])
        deepest = len(in_shape) - 1
        self.levels = nn.ModuleList(
            AttentionFusion(source[0], mid_channels, target[0], fuse=i < deepest)
            for i, (source, target) in enumerate(zip(in_shape, out_shape))
        )
        self.flat = tuple(len(target) == 1 for target in out_shape)
        self.sizes = tuple((_size(source), _size(target)) for source, target in zip(in_shape, out_shape))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Fuse the levels, shallow to deep.

        Raises:
            UsageError: If there are not as many as it was built for.
        """
        if len(features) != len(self.levels):
            raise UsageError(
                f'ReviewFusion: {len(features)} features came in, but it was built for {len(self.levels)} levels.'
            )
        results: list[Tensor] = []
        residual = None
        for i in reversed(range(len(self.levels))):
            x = features[i]
            x = x[:, :, None, None] if x.dim() == 2 else x
            size = tuple(max(1, (2 * now * t + s) // (2 * s)) for now, s, t in zip(x.shape[2:], *self.sizes[i]))
            y, residual = self.levels[i](x, residual, size)
            results.insert(0, y.flatten(1) if self.flat[i] else y)
        return results


def _resize(x: Tensor, size: Sequence[int]) -> Tensor:
    return x if x.shape[2:] == tuple(size) else F.interpolate(x, tuple(size), mode='nearest')


def _size(shape: Sequence[int]) -> tuple[int, int]:
    return (shape[1], shape[2]) if len(shape) == 3 else (1, 1)


def _check(in_shape: Sequence, out_shape: Sequence) -> None:
    """Refuse shapes that are not those of as many levels on both sides."""
    lists = all(isinstance(shape, Sequence) and len(shape) in (1, 3) for shape in (*in_shape, *out_shape))
    if not lists or not in_shape or len(in_shape) != len(out_shape):
        raise UsageError(
            f'ReviewFusion: in_shape is {in_shape} and out_shape {out_shape}, but both must list a (C, H, W) or (C,) '
            'for each of as many levels: name as many taps in `of` as in `to`, each a list, shallow to deep.'
        )
