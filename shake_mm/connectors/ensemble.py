"""Several predictions as one: their mean, or weighed by a gate (ONE, CL, OKDDip)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..losses.pair import in_full_precision
from ..registry import MODELS


@MODELS.register_module()
class Ensemble(nn.Module):
    r"""The mean of several networks' logits, or logits of the mean of their predictions.

    .. math::
        \frac{1}{m} \sum_a z_a \qquad \text{or} \qquad
        \tau \log \frac{1}{m} \sum_a \mathrm{softmax}(z_a / \tau)

    Args:
        tau (float, optional): Temperature at which predictions are averaged. None averages the logits, the default.

    Shape:
        - Input: list of :math:`(N, K)`
        - Output: :math:`(N, K)`

    Raises:
        UsageError: If ``tau`` is no positive number.
    """

    def __init__(self, tau: float | None = None) -> None:
        super().__init__()
        if tau is not None and not tau > 0:
            raise UsageError(f'Ensemble: tau is {tau}, but a temperature must be larger than 0.')
        self.tau = tau

    def forward(self, logits: Sequence[Tensor]) -> Tensor:
        """Average logits, each (N, K)."""
        return in_full_precision(self._mean, list(logits))

    def _mean(self, logits: Sequence[Tensor]) -> Tensor:
        stacked = torch.stack(list(logits))
        if self.tau is None:
            return stacked.mean(0)
        return self.tau * ((stacked / self.tau).log_softmax(2).logsumexp(0) - math.log(len(stacked)))


@MODELS.register_module()
class BranchGate(nn.Module):
    r"""Logits of several branches, weighed sample by sample by a gate on the features that they share (ONE).

    .. math::
        z_e = \sum_i g_i z_i, \qquad
        g = \mathrm{softmax}\big(\mathrm{ReLU}(\mathrm{BN}(W \, \mathrm{pool}(x) + b))\big)

    Args:
        in_shape (Sequence[Sequence[int]]): Shape (C, H, W) of the shared features, then (K,) of each branch's logits.

    Shape:
        - Input: list of :math:`(N, C, H, W)` and, for every branch, :math:`(N, K)`
        - Output: :math:`(N, K)`

    Raises:
        UsageError: If it does not read a map and then the logits of two branches or more.
    """

    def __init__(self, in_shape: Sequence[Sequence[int]]) -> None:
        super().__init__()
        if not isinstance(in_shape, (list, tuple)) or len(in_shape) < 3 or len(in_shape[0] or ()) != 3:
            raise UsageError(
                'BranchGate: `source` must list the shared map and then the logits of two branches or more, '
                "e.g. ['student.fl', 'student.logits', 'proxy0.logits']."
            )
        self.fc = nn.Linear(in_shape[0][0], len(in_shape) - 1)
        self.bn = nn.BatchNorm1d(len(in_shape) - 1)

    def forward(self, values: Sequence[Tensor]) -> Tensor:
        """Weigh the logits of all branches by the gate."""
        features, *logits = values
        gate = self.bn(self.fc(features.mean(dim=(2, 3)))).relu().softmax(dim=1)
        return (gate[:, :, None] * torch.stack(logits, dim=1)).sum(1)
