"""Multi-level logit distillation (Jin, Wang and Lin, CVPR 2023): instances, the batch, and the classes."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from ..errors import UsageError
from ..registry import MODELS
from .kl_div import kl_div
from .pair import check_equal, full_precision


@full_precision
def batch_alignment(logits: Tensor, target: Tensor, tau: float = 4.0) -> Tensor:
    r"""Squared distance of the similarities between samples (Eqs. 5 to 7).

    .. math::
        L = \frac{1}{N} \| P P^\top - \hat P \hat P^\top \|_2^2, \qquad P = \mathrm{softmax}(z / \tau)

    Args:
        logits (Tensor): The student's logits, shape (N, K).
        target (Tensor): The teacher's logits, shape (N, K); they get no gradient.
        tau (float): Temperature, larger than 0. Defaults to 4.

    Returns:
        Tensor: A scalar.

    Raises:
        UsageError: If the shapes differ.
    """
    check_equal('MLKDLoss', logits, target)
    p, q = ((z / tau).softmax(1) for z in (logits, target.detach()))
    return (p @ p.T - q @ q.T).square().sum() / len(p)


@full_precision
def class_alignment(logits: Tensor, target: Tensor, tau: float = 4.0) -> Tensor:
    r"""Squared distance of the similarities between classes, over the batch (Eqs. 8 and 9).

    .. math::
        L = \frac{1}{K} \| P^\top P - \hat P^\top \hat P \|_2^2, \qquad P = \mathrm{softmax}(z / \tau)

    Args:
        logits (Tensor): The student's logits, shape (N, K).
        target (Tensor): The teacher's logits, shape (N, K); they get no gradient.
        tau (float): Temperature, larger than 0. Defaults to 4.

    Returns:
        Tensor: A scalar.

    Raises:
        UsageError: If the shapes differ.
    """
    check_equal('MLKDLoss', logits, target)
    p, q = ((z / tau).softmax(1) for z in (logits, target.detach()))
    return (p.T @ p - q.T @ q).square().sum() / p.shape[1]


def instance_alignment(logits: Tensor, target: Tensor, tau: float = 4.0) -> Tensor:
    """KD's divergence, with the target stopped: see :func:`~shake_mm.losses.kl_div`."""
    return kl_div(logits, target.detach(), tau)


LEVELS: dict[str, Callable[..., Tensor]] = {
    'instance': instance_alignment,
    'batch': batch_alignment,
    'class': class_alignment,
}


@MODELS.register_module()
class MLKDLoss(nn.Module):
    """One level of multi-level logit distillation, summed over several temperatures (prediction augmentation).

    Args:
        level (str): ``'instance'``, ``'batch'`` or ``'class'``.
        taus (Sequence[float]): Temperatures, larger than 0. Defaults to the authors' 2 to 6.
        loss_weight (float): Factor. Defaults to 1.

    Raises:
        UsageError: If the level is unknown, or a temperature is no positive number.
    """

    def __init__(self, level: str, taus: Sequence[float] = (2.0, 3.0, 4.0, 5.0, 6.0), loss_weight: float = 1.0) -> None:
        super().__init__()
        if level not in LEVELS:
            raise UsageError(f"MLKDLoss: level is '{level}', but it must be one of {', '.join(LEVELS)}.")
        if not taus or not all(tau > 0 for tau in taus):
            raise UsageError(f'MLKDLoss: taus is {taus}, but it must list temperatures larger than 0.')
        self.level, self.taus, self.loss_weight = level, tuple(taus), loss_weight

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Evaluate the level on logits of shape (N, K), at every temperature."""
        first, *others = (LEVELS[self.level](logits, target, tau) for tau in self.taus)
        return self.loss_weight * sum(others, first)
