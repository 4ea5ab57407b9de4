"""Divergence of the predictions of heads with a sigmoid per class: several classes, or none, may be right."""

from torch import Tensor, nn

from ..errors import UsageError
from ..registry import MODELS
from .dense_kl import Bernoulli
from .pair import check_equal, full_precision


@full_precision
def bernoulli_kl(logits: Tensor, target: Tensor, tau: float = 4.0) -> Tensor:
    r"""Divergence of softened predictions of every class by itself, averaged over the batch.

    .. math::
        L(a, b) = \frac{\tau^2}{N} \sum_n \sum_k
        \mathrm{KL}\big(\mathrm{B}(\sigma(b_{nk} / \tau)) \,\|\, \mathrm{B}(\sigma(a_{nk} / \tau))\big)

    where :math:`\mathrm{B}(p)` is the Bernoulli distribution of probability :math:`p`. Classes are summed, as the
    binary cross-entropy of mmpretrain's multi-label heads sums them. Half-precision logits are compared in float32.

    Args:
        logits (Tensor): :math:`a`, the logits that learn, shape (N, K).
        target (Tensor): :math:`b`, the target logits, shape (N, K); they get no gradient.
        tau (float): Temperature, larger than 0. Defaults to 4.

    Returns:
        Tensor: A scalar.

    Raises:
        UsageError: If the shapes differ.

    Example:
        >>> a, b = torch.tensor([[0.0, 0.0]]), torch.tensor([[9.0, -9.0]])
        >>> bernoulli_kl(a, b, tau=1.0)  # log 2 of each class, nearly, where the target is sure
        tensor(1.3838)
    """
    check_equal('BernoulliKLLoss', logits, target)
    return Bernoulli.apply(logits.unsqueeze(1), target.detach().unsqueeze(1), tau).mean()


@MODELS.register_module()
class BernoulliKLLoss(nn.Module):
    """Module of :func:`bernoulli_kl`, for multi-label heads.

    Args:
        tau (float): Temperature, larger than 0. Defaults to 4.
        loss_weight (float): Factor. Defaults to 1.

    Raises:
        UsageError: If ``tau`` is not a positive number.
    """

    def __init__(self, tau: float = 4.0, loss_weight: float = 1.0) -> None:
        super().__init__()
        if not tau > 0:
            raise UsageError(f'BernoulliKLLoss: tau is {tau}, but a temperature must be larger than 0.')
        self.tau, self.loss_weight = tau, loss_weight

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Evaluate :func:`bernoulli_kl` on logits of shape (N, K)."""
        return self.loss_weight * bernoulli_kl(logits, target, self.tau)
