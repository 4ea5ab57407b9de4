"""Correlation congruence (Peng et al., 2019), in the form of the CRD benchmark."""

from torch import Tensor, nn

from ..registry import MODELS
from .pair import check_equal, full_precision


@full_precision
def correlation_congruence(feature: Tensor, target: Tensor) -> Tensor:
    r"""Product of the errors of neighboring samples, averaged over the neighbors of a batch.

    .. math::
        L(s, t) = \frac{1}{N - 1} \sum_{i=1}^{N-1} \sum_k d_{ik} \, d_{i+1,k}, \qquad d = |s - t|

    Both sides are trained embeddings, so gradient flows into both: what lies before the target's embedding must be
    detached.

    Args:
        feature (Tensor): :math:`s`, the student's embedding, shape (N, D).
        target (Tensor): :math:`t`, the teacher's embedding, shape (N, D).

    Returns:
        Tensor: A scalar; 0 for a batch of one, which has no neighbors.

    Raises:
        UsageError: If the shapes differ.

    Example:
        >>> correlation_congruence(torch.tensor([[1.0], [2.0], [-3.0]]), torch.zeros(3, 1))
        tensor(4.)
    """
    check_equal('CCLoss', feature, target)
    error = (feature - target).abs()
    return (error[:-1] * error[1:]).sum() / max(len(error) - 1, 1)


@MODELS.register_module()
class CCLoss(nn.Module):
    """Module of :func:`correlation_congruence`; an :class:`~shake_mm.connectors.Embedding` belongs on either side.

    Args:
        loss_weight (float): Factor. Defaults to 1.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, feature: Tensor, target: Tensor) -> Tensor:
        """Evaluate :func:`correlation_congruence` on embeddings (N, D)."""
        return self.loss_weight * correlation_congruence(feature, target)
