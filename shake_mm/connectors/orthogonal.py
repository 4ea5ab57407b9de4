"""The projection of VkD (Miles et al., CVPR 2024), whose rows or columns are orthonormal."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..losses.pair import in_full_precision
from ..registry import MODELS


@MODELS.register_module()
class OrthogonalProjection(nn.Module):
    r"""A linear map that keeps angles, so that what is learned stands in the student's features, not in it.

    .. math::
        y = W x, \qquad W = \big[\exp(A - A^\top)\big]_{1 \dots C_{out}, \, 1 \dots C_{in}}

    The exponential of a skew-symmetric matrix (Sec. 3.2) is orthogonal, and the rows of :math:`W`, or the columns where
    there are fewer, are orthonormal. It is computed in float32 at least.

    Args:
        in_channels (int): Channels of the features.
        out_channels (int): Channels of the result.

    Shape:
        - Input: :math:`(N, C_{in})` or :math:`(N, C_{in}, H, W)`
        - Output: :math:`(N, C_{out})` or :math:`(N, C_{out}, H, W)`

    Example:
        >>> OrthogonalProjection(16, 32)(torch.rand(2, 16)).shape
        torch.Size([2, 32])
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        size = max(in_channels, out_channels)
        self.generator = nn.Parameter(torch.randn(size, size) / size**0.5)

    @property
    def weight(self) -> Tensor:
        """The projection, shape (C_out, C_in)."""
        whole = torch.linalg.matrix_exp(self.generator - self.generator.T)
        return whole[: self.out_channels, : self.in_channels]

    def forward(self, x: Tensor) -> Tensor:
        """Project features (N, C_in), or a map of them at every place."""
        return in_full_precision(self._project, x)

    def _project(self, x: Tensor) -> Tensor:
        weight = self.weight.to(x.dtype)
        return F.linear(x, weight) if x.dim() == 2 else torch.einsum('oc,nc...->no...', weight, x)
