"""Haar's wavelets of maps: several scales of details, and what is left."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def haar(x: Tensor, scales: int = 3) -> list[Tensor]:
    """Split maps into bands of frequencies, by the orthonormal transform.

    A map of an odd height or width gets a row or column of zeros first, as a zero-padded transform has it.

    Args:
        x (Tensor): Shape (N, C, H, W).
        scales (int): How often what is left is split. Defaults to 3.

    Returns:
        list[Tensor]: What is left, shape (N, C, h, w), then the details (N, C, 3, h_j, w_j) from the finest scale to
        the coarsest, each in three orientations.

    Example:
        >>> low, details = haar(torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]]), 1)
        >>> low.flatten(), details.flatten()
        (tensor([6.]), tensor([-3., -2.,  1.]))
    """
    details = []
    for _ in range(scales):
        x = F.pad(x, (0, x.shape[-1] % 2, 0, x.shape[-2] % 2))
        a, b, c, d = (x[..., i::2, j::2] for i in (0, 1) for j in (0, 1))
        details.append(torch.stack([a + b - c - d, a - b + c - d, a - b - c + d], dim=2) / 2)
        x = (a + b + c + d) / 2
    return [x, *details]


def inverse_haar(bands: Sequence[Tensor], size: Sequence[int]) -> Tensor:
    """Put maps together of their bands: what undoes :func:`haar`.

    Args:
        bands (Sequence[Tensor]): As that gives them.
        size (tuple[int, int]): Height and width of the maps, of which padding is cut off.

    Returns:
        Tensor: Shape (N, C, H, W).
    """
    x = bands[0]
    for detail in reversed(bands[1:]):
        x = x[..., : detail.shape[-2], : detail.shape[-1]]
        rows, columns, both = detail.unbind(2)
        top = torch.stack([x + rows + columns + both, x + rows - columns - both], dim=-1)
        bottom = torch.stack([x - rows + columns - both, x - rows - columns + both], dim=-1)
        x = (torch.stack([top.flatten(-2), bottom.flatten(-2)], dim=-2) / 2).flatten(-3, -2)
    return x[..., : size[0], : size[1]]
