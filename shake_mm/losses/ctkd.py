"""Curriculum temperature (Li et al., AAAI 2023): a learned temperature that makes the task harder, gradually."""

import math

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import MODELS
from ..utils import scale_gradient
from .kl_div import kl_div
from .pair import full_precision


@full_precision
def curriculum_kd(
    logits: Tensor, target: Tensor, parameter: Tensor, strength: float, least: float = 1.0, span: float = 20.0
) -> Tensor:
    r"""KD at a temperature that is learned against the student (Eqs. 4 and 5).

    .. math::
        L = \tau^2 \, \mathrm{KL}\big(\mathrm{softmax}(b / \tau) \,\|\, \mathrm{softmax}(a / \tau)\big), \qquad
        \tau = \tau_0 + s \, \sigma(\theta)

    The gradient of :math:`\theta` is multiplied by :math:`-\lambda`: where the student descends, it ascends.

    Args:
        logits (Tensor): :math:`a`, the student's logits, shape (N, K).
        target (Tensor): :math:`b`, the teacher's, shape (N, K); they get no gradient.
        parameter (Tensor): :math:`\theta`, shape (1,).
        strength (float): :math:`\lambda`.
        least (float): :math:`\tau_0`. Defaults to 1.
        span (float): :math:`s`. Defaults to 20.

    Returns:
        Tensor: A scalar.

    Raises:
        UsageError: If the shapes differ.
    """
    tau = least + span * scale_gradient(parameter, -strength).sigmoid()
    return kl_div(logits, target.detach(), tau).squeeze()


@MODELS.register_module()
class CTKDLoss(nn.Module):
    r"""KD with a global temperature that is learned against the student.

    In epoch :math:`e`, counted from 1, the reversal has the strength

    .. math::
        \lambda_e = \lambda_{\min} + \tfrac12 (\lambda_{\max} - \lambda_{\min})
            \big(1 + \cos((1 + \min(e, E) / E) \pi)\big)

    Args:
        least (float): The lowest temperature. Defaults to 1.
        span (float): The highest temperature lies so much above it. Defaults to 20.
        start (float): The parameter's first value. Defaults to 1, a temperature of 15.6.
        epochs (int): :math:`E`, in which the strength rises. Defaults to 10.
        strengths (tuple[float, float]): :math:`\lambda_{\min}` and :math:`\lambda_{\max}`. Defaults to 0 and 1.
        loss_weight (float): Factor. Defaults to 1.

    Raises:
        UsageError: If a temperature could be 0, or the strength rises in no epochs.
    """

    def __init__(
        self,
        least: float = 1.0,
        span: float = 20.0,
        start: float = 1.0,
        epochs: int = 10,
        strengths: tuple[float, float] = (0.0, 1.0),
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        if not (least > 0 and span > 0 and epochs > 0):
            raise UsageError(
                f'CTKDLoss: least={least}, span={span} and epochs={epochs}, but all three must be larger than 0.'
            )
        self.least, self.span, self.epochs, self.strengths = least, span, epochs, tuple(strengths)
        self.loss_weight = loss_weight
        self.parameter = nn.Parameter(torch.full((1,), float(start)))
        self.strength = self.strengths[0]

    def enter_epoch(self, epoch: int) -> None:
        """Set the strength of the reversal at the beginning of ``epoch``, counted from 0."""
        low, high = self.strengths
        share = min(epoch + 1, self.epochs) / self.epochs
        self.strength = low + 0.5 * (high - low) * (1 + math.cos((1 + share) * math.pi))

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Evaluate :func:`curriculum_kd` on logits of shape (N, K)."""
        return self.loss_weight * curriculum_kd(logits, target, self.parameter, self.strength, self.least, self.span)
