"""Cross-entropy with the teacher's decision as the label (DeiT's hard distillation, Touvron et al., 2021)."""

from torch import Tensor, nn
from torch.nn import functional as F

from ..registry import MODELS
from .pair import check_equal, full_precision


@full_precision
def hard_label(logits: Tensor, target: Tensor) -> Tensor:
    r"""Cross-entropy with the class that a target finds most likely, averaged over the batch.

    .. math::
        L(a, b) = -\log \mathrm{softmax}(a)_y, \quad y = \arg\max_k b_k

    Args:
        logits (Tensor): :math:`a`, the logits that learn, shape (N, K).
        target (Tensor): :math:`b`, the target logits, shape (N, K); they get no gradient.

    Returns:
        Tensor: A scalar.

    Raises:
        UsageError: If the shapes differ.
    """
    check_equal('HardLabelLoss', logits, target)
    return F.cross_entropy(logits, target.argmax(dim=1))


@MODELS.register_module()
class HardLabelLoss(nn.Module):
    """Module of :func:`hard_label`.

    Args:
        loss_weight (float): Factor. Defaults to 1.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Evaluate :func:`hard_label` on logits of shape (N, K)."""
        return self.loss_weight * hard_label(logits, target)
