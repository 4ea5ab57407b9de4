"""Predictions at the priors that were assigned to objects: classes as LD's authors compare them, and centerness."""

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import UsageError
from ..registry import MODELS
from .pair import full_precision
from .places import Places, PriorLoss

ACTIVATIONS = ('softmax', 'sigmoid')
NORMS = ('positives', 'levels')


@full_precision
def positive_prior(
    logits: Tensor, target: Tensor, weight: Tensor, activation: str = 'softmax', tau: float = 1.0
) -> Tensor:
    r"""Divergence of two detectors' logits, by prior: of a softmax the mean over its classes, of sigmoids the sum.

    .. math::
        L = \sum_p w_p \, \frac{\tau^2}{C} \,
            \mathrm{KL}\big(\mathrm{softmax}(b_p / \tau) \,\|\, \mathrm{softmax}(a_p / \tau)\big)
        \quad \text{or} \quad
        L = \sum_{pc} w_p \, \tau^2 \, \mathrm{BCE}\big(\sigma(a_{pc} / \tau), \sigma(b_{pc} / \tau)\big)

    Args:
        logits (Tensor): :math:`a`, shape (N, P, C) of P priors.
        target (Tensor): :math:`b`, of the same shape; it gets no gradient.
        weight (Tensor): :math:`w`, shape (N, P).
        activation (str): ``'softmax'`` or ``'sigmoid'``. Defaults to ``'softmax'``.
        tau (float): Temperature, larger than 0. Defaults to 1.

    Returns:
        Tensor: A scalar.
    """
    a, b = logits / tau, target.detach() / tau
    if activation == 'softmax':
        log_q = b.log_softmax(-1)
        apart = (log_q.exp() * (log_q - a.log_softmax(-1))).mean(-1)
    else:
        apart = F.binary_cross_entropy_with_logits(a, b.sigmoid(), reduction='none').sum(-1)
    return tau**2 * (weight * apart).sum()


@MODELS.register_module()
class PositivePriorLoss(PriorLoss):
    """:func:`positive_prior` of all levels, at the priors that the student's own loss assigned to objects.

    A prior counts what it does in the student's loss of the classes. The sum is divided by the number of positive
    priors, or that of each level by its own.

    Args:
        activation (str): ``'softmax'``, or ``'sigmoid'`` (of a centerness). Defaults to ``'softmax'``.
        tau (float): Temperature, larger than 0. Defaults to 1.
        normalize (str): ``'positives'`` or ``'levels'``. Defaults to ``'positives'``.
        loss_weight (float): Factor. Defaults to 1.

    Raises:
        UsageError: If an argument is none of those that it may be.
    """

    def __init__(
        self, activation: str = 'softmax', tau: float = 1.0, normalize: str = 'positives', loss_weight: float = 1.0
    ) -> None:
        super().__init__()
        for name, value, known in (('activation', activation, ACTIVATIONS), ('normalize', normalize, NORMS)):
            if value not in known:
                raise UsageError(f"PositivePriorLoss: {name}='{value}', but it must be one of {known}.")
        if tau <= 0:
            raise UsageError(f'PositivePriorLoss: tau={tau}, but a temperature is larger than 0.')
        self.activation, self.tau, self.normalize = activation, tau, normalize
        self.loss_weight = loss_weight

    def of_rows(self, logits: Tensor, target: Tensor, places: Places) -> Tensor:
        """The loss of rows (N, P, C) of all levels."""
        weights = [weight * chosen.to(weight) for weight, chosen in zip(places.weight, places.positive)]
        if self.normalize == 'levels':
            weights = [weight / chosen.sum().clamp(min=1) for weight, chosen in zip(weights, places.positive)]
        total = positive_prior(logits, target, torch.cat(weights, dim=1), self.activation, self.tau)
        return self.loss_weight * (total if self.normalize == 'levels' else total / places.number)
