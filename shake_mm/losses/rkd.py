"""Relational knowledge distillation (Park et al., 2019)."""

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from ..registry import MODELS
from .pair import check_batch, full_precision

ROUNDING = 1e-13
"""What the squared distance of equal samples may come out as, relative to their squared norms."""
BLOCK = 2**18
"""Cosines that are held at a time."""


@full_precision
def relational_kd(feature: Tensor, target: Tensor, distance_weight: float = 25.0, angle_weight: float = 50.0) -> Tensor:
    r"""Differences of the distances of all pairs and of the angles of all triples of a batch.

    .. math::
        L(s, t) = w_d \operatorname{mean}_{ij} h\Big(\frac{d^s_{ij}}{\bar d^s} - \frac{d^t_{ij}}{\bar d^t}\Big)
            + w_a \operatorname{mean}_{ijk} h(c^s_{ijk} - c^t_{ijk}), \qquad
        d_{ij} = \lVert f_i - f_j \rVert, \quad c_{ijk} = \cos(f_j - f_i, f_k - f_i)

    with the smooth L1 function :math:`h` and the mean :math:`\bar d` of the positive distances. A cosine with a
    vector of length 0 is 0. Both parts are functions of the squared distances alone, by the law of cosines

    .. math::
        c_{ijk} = \frac{d_{ij}^2 + d_{ik}^2 - d_{jk}^2}{2 \, d_{ij} \, d_{ik}}

    so the largest tensors have N x N and, for a block of i at a time, N x N x N entries, however long the features
    are. The squared distances come from a Gram matrix in float64: in float32 they would be lost to cancellation
    between samples that are close to each other.

    Args:
        feature (Tensor): :math:`s`, the student's feature, shape (N, ...); it is flattened.
        target (Tensor): :math:`t`, the teacher's, shape (N, ...), of any other length; it gets no gradient.
        distance_weight (float): :math:`w_d`. Defaults to 25.
        angle_weight (float): :math:`w_a`. Defaults to 50.

    Returns:
        Tensor: A scalar. A batch of one is always at the minimum, 0.

    Raises:
        UsageError: If the batches differ.

    Example:
        >>> line, corner = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
        >>> relational_kd(line, corner, distance_weight=0.0, angle_weight=27.0)
        tensor(1.1716)
    """
    check_batch('RKDLoss', feature, target)
    s, t = squared_distances(feature), squared_distances(target.detach())
    distance = F.smooth_l1_loss(relative_distances(s), relative_distances(t))
    return (distance_weight * distance + angle_weight * _angle_difference(s, t)).to(feature.dtype)


def squared_distances(feature: Tensor) -> Tensor:
    """Squared distances of all samples, exactly 0 between equal ones: (N, ...) to (N, N) in float64."""
    flat = feature.flatten(1).double()
    # Moving all samples alike changes no distance, so the origin needs no gradient either. A sample serves better than
    # the mean: where all are equal, nothing is left to round.
    flat = flat - flat[0].detach()
    gram = flat @ flat.t()
    norms = gram.diagonal()[:, None] + gram.diagonal()
    distances = norms - 2 * gram
    return torch.where(distances > ROUNDING * norms.detach(), distances, 0)


def relative_distances(squared: Tensor) -> Tensor:
    """Distances over the mean of the positive ones; all 0 if no sample differs from another. (N, N) to (N, N)."""
    positive = squared > 0
    distances = torch.where(positive, squared.where(positive, 1).sqrt(), 0)
    mean = distances.sum() / positive.sum().clamp(min=1)
    return distances / mean.where(mean > 0, 1)


def _angle_difference(s: Tensor, t: Tensor) -> Tensor:
    """Mean smooth L1 difference of all cosines, from squared distances (N, N).

    The cosines of a block are computed again in the backward pass instead of being kept. On the meta device nothing
    is kept anyway, and torch 2.1 fails to compute it again there.
    """
    n = len(s)
    blocks = torch.arange(n, device=s.device).split(max(1, BLOCK // n**2))
    again = functools.partial(checkpoint, _block_difference, use_reentrant=False, preserve_rng_state=False)
    difference = _block_difference if s.is_meta else again
    return sum(difference(s, t, block) for block in blocks) / n**3


def _block_difference(s: Tensor, t: Tensor, block: Tensor) -> Tensor:
    return F.smooth_l1_loss(cosines(s, block), cosines(t, block), reduction='sum')


def cosines(squared: Tensor, at: Tensor) -> Tensor:
    """Cosines of the angles at some samples between all pairs of samples.

    Args:
        squared (Tensor): Squared distances, shape (N, N).
        at (Tensor): Indices of the samples at the corner, shape (B,).

    Returns:
        Tensor: Shape (B, N, N).
    """
    sides = squared[at]
    positive = sides > 0
    inverse = torch.where(positive, sides.where(positive, 1).rsqrt(), 0)
    products = (sides[:, :, None] + sides[:, None, :] - squared) / 2
    return products * (inverse[:, :, None] * inverse[:, None, :])


@MODELS.register_module()
class RKDLoss(nn.Module):
    """Module of :func:`relational_kd`.

    Args:
        distance_weight (float): Weight of the distances. Defaults to 25.
        angle_weight (float): Weight of the angles. Defaults to 50.
        loss_weight (float): Factor. Defaults to 1.
    """

    def __init__(self, distance_weight: float = 25.0, angle_weight: float = 50.0, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.distance_weight, self.angle_weight, self.loss_weight = distance_weight, angle_weight, loss_weight

    def forward(self, feature: Tensor, target: Tensor) -> Tensor:
        """Evaluate :func:`relational_kd` on features (N, ...)."""
        return self.loss_weight * relational_kd(feature, target, self.distance_weight, self.angle_weight)
