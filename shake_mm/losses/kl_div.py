"""Kullback-Leibler divergence of softened predictions (Hinton et al., 2015)."""

from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UsageError
from ..registry import MODELS
from .pair import full_precision


@full_precision
def kl_div(logits: Tensor, target: Tensor, tau: float = 4.0) -> Tensor:
    r"""Divergence of softened logits from a target's, averaged over the batch.

    .. math::
        L_{KL}(a, b) = \tau^2 \, \mathrm{KL}\big(\mathrm{softmax}(b / \tau) \,\|\, \mathrm{softmax}(a / \tau)\big)

    Half-precision logits are compared in float32.

    Args:
        logits (Tensor): :math:`a`, the logits that learn, shape (N, K).
        target (Tensor): :math:`b`, the target logits, shape (N, K); the caller detaches them.
        tau (float): Temperature, larger than 0. Defaults to 4.

    Returns:
        Tensor: A scalar.

    Raises:
        UsageError: If the shapes differ.

    Example:
        >>> kl_div(torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 0.0]]))
        tensor(0.)
    """
    if logits.shape != target.shape:
        raise UsageError(
            f'kl_div: the logits have shape {tuple(logits.shape)} and the target {tuple(target.shape)}: '
            'the two networks need the same number of classes.'
        )
    log_q = F.log_softmax(logits / tau, dim=1)
    log_p = F.log_softmax(target / tau, dim=1)
    return F.kl_div(log_q, log_p, reduction='batchmean', log_target=True) * tau**2


@MODELS.register_module()
class KLDivLoss(nn.Module):
    """Module of :func:`kl_div`.

    Args:
        tau (float): Temperature, larger than 0. Defaults to 4.
        loss_weight (float): Factor. Defaults to 1.

    Raises:
        UsageError: If ``tau`` is not a positive number.
    """

    def __init__(self, tau: float = 4.0, loss_weight: float = 1.0) -> None:
        super().__init__()
        if not tau > 0:
            raise UsageError(f'tau is {tau}, but a temperature must be larger than 0.')
        self.tau, self.loss_weight = tau, loss_weight

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Evaluate :func:`kl_div` on logits of shape (N, K)."""
        return self.loss_weight * kl_div(logits, target, self.tau)
