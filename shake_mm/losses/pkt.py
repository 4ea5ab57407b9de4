"""Probabilistic knowledge transfer (Passalis and Tefas, 2018)."""

import torch
from torch import Tensor, nn

from ..registry import MODELS
from .pair import check_batch, full_precision

EPS = 1e-7


def neighbor_probabilities(feature: Tensor) -> Tensor:
    """How likely each sample picks each of the batch, by cosine: (N, ...) to (N, N), every row sums to 1."""
    flat = feature.flatten(1)
    # vector_norm has gradient 0 at the origin, where the root of a sum of squares has none; over EPS a dead sample's
    # would be multiplied by 10^7.
    length = torch.linalg.vector_norm(flat, dim=1, keepdim=True)
    unit = flat / (length + EPS).where(length > 0, 1)
    scaled = (unit @ unit.t() + 1) / 2
    return scaled / scaled.sum(1, keepdim=True)


@full_precision
def probabilistic_transfer(feature: Tensor, target: Tensor) -> Tensor:
    r"""Divergence of the neighbor probabilities within a batch; channels and sizes of the two may differ.

    .. math::
        L(s, t) = \frac{1}{N^2} \sum_{ij} p^t_{ij} \log \frac{p^t_{ij} + \epsilon}{p^s_{ij} + \epsilon}, \qquad
        p_{ij} = \frac{\cos(f_i, f_j) + 1}{\sum_k (\cos(f_i, f_k) + 1)}

    with :math:`\epsilon = 10^{-7}`, which is also added to the norms in the cosine.

    Args:
        feature (Tensor): :math:`s`, the student's feature, shape (N, ...).
        target (Tensor): :math:`t`, the teacher's, shape (N, ...); it gets no gradient.

    Returns:
        Tensor: A scalar. A batch of one is always at the minimum, 0.

    Raises:
        UsageError: If the batches differ.

    Example:
        >>> round(probabilistic_transfer(torch.ones(2, 1), torch.eye(2)).item(), 4)
        0.0283
    """
    check_batch('PKTLoss', feature, target)
    p, q = neighbor_probabilities(target.detach()), neighbor_probabilities(feature)
    return (p * ((p + EPS) / (q + EPS)).log()).mean()


@MODELS.register_module()
class PKTLoss(nn.Module):
    """Module of :func:`probabilistic_transfer`.

    Args:
        loss_weight (float): Factor. Defaults to 1.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, feature: Tensor, target: Tensor) -> Tensor:
        """Evaluate :func:`probabilistic_transfer` on features (N, ...)."""
        return self.loss_weight * probabilistic_transfer(feature, target)
