"""Layer-normalized logits (the variant that SHAKE's authors released; logit standardization, CVPR 2024)."""

from torch import Tensor, nn
from torch.nn import functional as F

from ..registry import MODELS


@MODELS.register_module()
class LogitNorm(nn.Module):
    r"""Logits with mean 0 and a fixed spread, so that networks of different confidence can be compared.

    .. math::
        n(z) = s \, \frac{z - \bar z}{\sqrt{\mathrm{var}(z) + \epsilon}}

    Args:
        scale (float): :math:`s`. Defaults to the release's 3.1415.
        unbiased (bool): Whether the spread is the unbiased estimate, of :math:`K - 1` degrees of freedom, as in logit
            standardization (Sun et al., CVPR 2024, Algorithm 1): another factor :math:`\sqrt{(K - 1) / K}`. Defaults
            to False.
        eps (float): :math:`\epsilon`. Defaults to 1e-7.
    """

    def __init__(self, scale: float = 3.1415, unbiased: bool = False, eps: float = 1e-7) -> None:
        super().__init__()
        self.scale, self.unbiased, self.eps = scale, unbiased, eps

    def forward(self, logits: Tensor) -> Tensor:
        """Normalize logits of shape (N, K)."""
        number = logits[0].numel()
        factor = ((number - 1) / number) ** 0.5 if self.unbiased else 1.0
        return self.scale * factor * F.layer_norm(logits, logits.shape[1:], eps=self.eps)
