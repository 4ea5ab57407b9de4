"""Similarity-preserving distillation (Tung and Mori, 2019)."""

from torch import Tensor, nn
from torch.nn import functional as F

from ..registry import MODELS
from .pair import check_batch, full_precision, unit_rows


def similarity(feature: Tensor) -> Tensor:
    """Inner products of all samples, each row of unit length, of a dead sample 0: (N, ...) to (N, N)."""
    flat = feature.flatten(1)
    return unit_rows(flat @ flat.t())


@full_precision
def similarity_preserving(feature: Tensor, target: Tensor) -> Tensor:
    r"""Squared difference of the similarities within a batch; channels and sizes of the two may differ.

    .. math::
        L(s, t) = \frac{1}{N^2} \sum_{ij} (G^s_{ij} - G^t_{ij})^2, \qquad
        G_{ij} = \frac{\langle f_i, f_j \rangle}{\sqrt{\sum_k \langle f_i, f_k \rangle^2}}

    Args:
        feature (Tensor): :math:`s`, the student's feature, shape (N, ...).
        target (Tensor): :math:`t`, the teacher's, shape (N, ...); it gets no gradient.

    Returns:
        Tensor: A scalar. A batch of one is always at the minimum, 0.

    Raises:
        UsageError: If the batches differ.

    Example:
        >>> similarity_preserving(torch.eye(2), torch.tensor([[1.0], [0.0]]))
        tensor(0.2500)
    """
    check_batch('SPLoss', feature, target)
    return F.mse_loss(similarity(feature), similarity(target.detach()))


@MODELS.register_module()
class SPLoss(nn.Module):
    """Module of :func:`similarity_preserving`.

    Args:
        loss_weight (float): Factor. Defaults to 1.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, feature: Tensor, target: Tensor) -> Tensor:
        """Evaluate :func:`similarity_preserving` on features (N, ...)."""
        return self.loss_weight * similarity_preserving(feature, target)
