"""The adaptive alpha-divergence of softened predictions (Wang et al., AlphaNet, 2021)."""

import math

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import MODELS
from .pair import full_precision


@full_precision
def alpha_div(
    logits: Tensor,
    target: Tensor,
    tau: float = 4.0,
    alpha_min: float = -1.0,
    alpha_max: float = 1.0,
    clip: float = 5.0,
) -> Tensor:
    r"""The larger of two alpha-divergences of softened logits from a target's, sample by sample, averaged.

    With :math:`q = \mathrm{softmax}(a / \tau)` and :math:`p = \mathrm{softmax}(b / \tau)`,

    .. math::
        D_\alpha(p \| q) = \frac{1}{\alpha (\alpha - 1)} \sum_k q_k
            \Big[\min\big((p_k / q_k)^\alpha, \beta\big) - 1\Big], \qquad
        D_1 = \mathrm{KL}(p \| q), \quad D_0 = \mathrm{KL}(q \| p)

    A negative :math:`\alpha` punishes a student that is sure where the target is not, a positive one a student that
    misses what the target says. The loss is :math:`\tau^2` times the mean of
    :math:`\max(D_{\alpha_-}, D_{\alpha_+})`. Its gradient is AlphaNet's, which does not differentiate the clipping,

    .. math::
        \nabla D_\alpha = -\sum_k q_k\, \rho_k \nabla \log q_k, \qquad
        \rho_k = \frac{1}{\alpha} \min\big((p_k / q_k)^\alpha, \beta\big), \quad \rho_k = \log(p_k / q_k)
        \text{ for } \alpha = 0

    (constants in :math:`\rho` do not count, since :math:`\sum_k \nabla q_k = 0`; :math:`\alpha = 1` is not clipped). It
    is evaluated from logarithms, so that saturated logits do no harm, in float32 at least.

    Args:
        logits (Tensor): :math:`a`, the logits that learn, shape (N, K).
        target (Tensor): :math:`b`, the target logits, shape (N, K); they get no gradient.
        tau (float): Temperature, larger than 0. Defaults to 4.
        alpha_min (float): :math:`\alpha_-`. Defaults to -1.
        alpha_max (float): :math:`\alpha_+`. Defaults to 1.
        clip (float): :math:`\beta`, of the importance weights where :math:`\alpha` is neither 0 nor 1. Defaults to 5.

    Returns:
        Tensor: A scalar.

    Raises:
        UsageError: If the shapes differ.

    Example:
        >>> alpha_div(torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 0.0]]))
        tensor(0.)
    """
    if logits.shape != target.shape:
        raise UsageError(
            f'alpha_div: the logits have shape {tuple(logits.shape)} and the target {tuple(target.shape)}: '
            'the two networks need the same number of classes.'
        )
    log_q, log_p = (logits / tau).log_softmax(1), (target.detach() / tau).log_softmax(1)
    left, right = (_one_sided(log_q, log_p, alpha, clip) for alpha in (alpha_min, alpha_max))
    return torch.where(left > right, left, right).mean() * tau**2


def _one_sided(log_q: Tensor, log_p: Tensor, alpha: float, clip: float) -> Tensor:
    """The divergence of every sample, shape (N,), with AlphaNet's gradient."""
    fixed = log_q.detach()
    q, ratio = fixed.exp(), log_p - fixed
    if alpha == 0:
        value, slope = q * -ratio, q * ratio
    elif alpha == 1:
        value, slope = log_p.exp() * ratio, log_p.exp()
    else:
        weight = (alpha * ratio).clamp(max=math.log(clip)).exp()
        value, slope = q * (weight - 1) / (alpha * (alpha - 1)), q * weight / alpha
    # the value of the divergence, with the gradient of the second part
    return value.sum(1) - (slope * (log_q - fixed)).sum(1)


@MODELS.register_module()
class AlphaDivLoss(nn.Module):
    """Module of :func:`alpha_div`; ``divergence=dict(type='AlphaDivLoss')`` puts it in the place of a method's KL.

    Args:
        tau (float): Temperature, larger than 0. Defaults to 4.
        alpha_min (float): The smaller alpha. Defaults to -1.
        alpha_max (float): The larger alpha. Defaults to 1.
        clip (float): Largest importance weight, at least 1. Defaults to 5.
        loss_weight (float): Factor. Defaults to 1.

    Raises:
        UsageError: If an argument is out of its range.
    """

    def __init__(
        self,
        tau: float = 4.0,
        alpha_min: float = -1.0,
        alpha_max: float = 1.0,
        clip: float = 5.0,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        if not tau > 0:
            raise UsageError(f'tau is {tau}, but a temperature must be larger than 0.')
        if not alpha_min <= alpha_max:
            raise UsageError(f'alpha_min is {alpha_min} and alpha_max {alpha_max}, but it must not be the larger one.')
        if not clip >= 1:
            raise UsageError(f'clip is {clip}, but equal predictions have an importance weight of 1: use 1 or more.')
        self.tau, self.alpha_min, self.alpha_max, self.clip = tau, alpha_min, alpha_max, clip
        self.loss_weight = loss_weight

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Evaluate :func:`alpha_div` on logits of shape (N, K)."""
        value = alpha_div(logits, target, self.tau, self.alpha_min, self.alpha_max, self.clip)
        return self.loss_weight * value
