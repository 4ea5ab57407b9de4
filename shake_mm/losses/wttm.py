"""Weighted transformed teacher matching (Zheng and Yang, ICLR 2024)."""

from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UsageError
from ..registry import MODELS
from .pair import check_equal, full_precision


@full_precision
def transformed_matching(logits: Tensor, target: Tensor, gamma: float = 0.2, weighted: bool = True) -> Tensor:
    r"""Divergence of the student's prediction, as it is, from the teacher's under a power transform (Eqs. 5 and 14).

    .. math::
        L = \frac{1}{N} \sum_n U_n \, \mathrm{KL}(\hat p_n \,\|\, q_n), \qquad
        \hat p = \frac{p^\gamma}{\sum_k p_k^\gamma}, \quad U = \sum_k p_k^\gamma

    with :math:`p` and :math:`q` the softmax of the teacher's and the student's logits. The transform is a temperature
    :math:`1 / \gamma` of the teacher alone; the power sum :math:`U` weighs samples on which the teacher is unsure more.

    Args:
        logits (Tensor): The student's logits, shape (N, K).
        target (Tensor): The teacher's logits, shape (N, K); they get no gradient.
        gamma (float): :math:`\gamma`, larger than 0. Defaults to 0.2.
        weighted (bool): Whether :math:`U` weighs the samples (WTTM); else all count the same (TTM). Defaults to True.

    Returns:
        Tensor: A scalar.

    Raises:
        UsageError: If the shapes differ.

    Example:
        >>> transformed_matching(torch.zeros(1, 2), torch.zeros(1, 2))
        tensor(0.)
    """
    check_equal('WTTMLoss', logits, target)
    target = target.detach()
    divergence = F.kl_div(
        logits.log_softmax(1), (gamma * target).log_softmax(1), reduction='none', log_target=True
    ).sum(1)
    if weighted:
        divergence = divergence * (gamma * target.log_softmax(1)).logsumexp(1).exp()
    return divergence.mean()


@MODELS.register_module()
class WTTMLoss(nn.Module):
    """Module of :func:`transformed_matching`.

    Args:
        gamma (float): Exponent of the teacher's probabilities, larger than 0. Defaults to 0.2.
        weighted (bool): Whether samples on which the teacher is unsure count more. Defaults to True.
        loss_weight (float): Factor. Defaults to 1.

    Raises:
        UsageError: If ``gamma`` is not a positive number.
    """

    def __init__(self, gamma: float = 0.2, weighted: bool = True, loss_weight: float = 1.0) -> None:
        super().__init__()
        if not gamma > 0:
            raise UsageError(f'WTTMLoss: gamma is {gamma}, but an exponent must be larger than 0: give e.g. 0.2.')
        self.gamma, self.weighted, self.loss_weight = gamma, weighted, loss_weight

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Evaluate :func:`transformed_matching` on logits of shape (N, K)."""
        return self.loss_weight * transformed_matching(logits, target, self.gamma, self.weighted)
