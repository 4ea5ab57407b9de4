"""Layer-normalized logits (the variant that SHAKE's authors released)."""

from torch import Tensor, nn
from torch.nn import functional as F

from ..registry import MODELS


@MODELS.register_module()
class LogitNorm(nn.Module):
    r"""Logits with mean 0 and a fixed spread, so that networks of different confidence can be compared.

    .. math::
        n(z) = s \, \frac{z - \bar z}{\sqrt{\mathrm{var}(z) + 10^{-7}}}

    Args:
        scale (float): :math:`s`. Defaults to the release's 3.1415.
    """

    def __init__(self, scale: float = 3.1415) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, logits: Tensor) -> Tensor:
        """Normalize logits of shape (N, K)."""
        return self.scale * F.layer_norm(logits, logits.shape[1:], eps=1e-7)
