"""Cross-entropy with softened predictions as the target (supplement, Table 2, `ce`)."""

from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UsageError
from ..registry import MODELS
from .pair import check_equal, full_precision


@full_precision
def soft_ce(logits: Tensor, target: Tensor, tau: float = 1.0) -> Tensor:
    r"""Cross-entropy of a target's softened prediction, averaged over the batch.

    .. math::
        L(a, b) = -\tau^2 \sum_k \mathrm{softmax}(b / \tau)_k \log \mathrm{softmax}(a / \tau)_k

    It differs from :func:`~shake_mm.losses.kl_div` at the same temperature by the target's entropy, which has no
    gradient: only another temperature makes it another method.

    Args:
        logits (Tensor): :math:`a`, the logits that learn, shape (N, K).
        target (Tensor): :math:`b`, the target logits, shape (N, K); they get no gradient.
        tau (float): Temperature, larger than 0. Defaults to 1.

    Returns:
        Tensor: A scalar.

    Raises:
        UsageError: If the shapes differ.
    """
    check_equal('SoftCELoss', logits, target)
    return F.cross_entropy(logits / tau, (target.detach() / tau).softmax(dim=1)) * tau**2


@MODELS.register_module()
class SoftCELoss(nn.Module):
    """Module of :func:`soft_ce`.

    Args:
        tau (float): Temperature, larger than 0. Defaults to 1.
        loss_weight (float): Factor. Defaults to 1.

    Raises:
        UsageError: If ``tau`` is not a positive number.
    """

    def __init__(self, tau: float = 1.0, loss_weight: float = 1.0) -> None:
        super().__init__()
        if not tau > 0:
            raise UsageError(f'tau is {tau}, but a temperature must be larger than 0.')
        self.tau, self.loss_weight = tau, loss_weight

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Evaluate :func:`soft_ce` on logits of shape (N, K)."""
        return self.loss_weight * soft_ce(logits, target, self.tau)
