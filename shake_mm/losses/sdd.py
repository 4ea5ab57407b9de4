"""Scale decoupled distillation (Wei, Luo and Luo, CVPR 2024)."""

from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UsageError
from ..registry import MODELS
from .pair import check_equal, full_precision


@full_precision
def scale_decoupled(
    logits: Tensor, target: Tensor, tau: float = 4.0, beta: float = 2.0, labels: Tensor | None = None
) -> Tensor:
    r"""KD region by region; where a region says another class than the whole image, it counts more (Eqs. 5 to 8).

    .. math::
        L = \frac{\tau^2}{N} \sum_n \sum_r w_{nr} \,
            \mathrm{KL}\big(\mathrm{softmax}(b_{nr} / \tau) \,\|\, \mathrm{softmax}(a_{nr} / \tau)\big), \qquad
        w_{nr} = \begin{cases} 1 & \arg\max b_{nr} = \arg\max b_{n0} \\ \beta & \text{else} \end{cases}

    The first region is the whole image. Regions whose class, by the teacher, is the image's are consistent, the others
    complementary. The authors' code asks the labels instead: a region is complementary where the teacher is right of
    one of the two, the region and the image, and wrong of the other.

    Args:
        logits (Tensor): :math:`a`, the student's logits of all regions, shape (N, R, K).
        target (Tensor): :math:`b`, the teacher's, of the same shape; they get no gradient.
        tau (float): Temperature, larger than 0. Defaults to 4.
        beta (float): :math:`\beta`. Defaults to 2.
        labels (Tensor, optional): Classes of the images, shape (N,), by which regions are told apart as in the
            authors' code.

    Returns:
        Tensor: A scalar.

    Raises:
        UsageError: If the shapes differ, or are not those of regions.
    """
    check_equal('SDDLoss', logits, target)
    if logits.dim() != 3:
        raise UsageError(
            f'SDDLoss: the logits have shape {tuple(logits.shape)}, but they must be (N, R, K): read maps through '
            "dict(type='RegionalLogits') on both sides."
        )
    target = target.detach()
    divergence = F.kl_div(
        (logits / tau).log_softmax(2), (target / tau).log_softmax(2), reduction='none', log_target=True
    ).sum(2)
    decided = target.argmax(2)
    if labels is not None:
        decided = decided == labels[:, None]
    weights = divergence.new_full((), beta).where(decided != decided[:, :1], 1.0)
    return tau**2 * (weights * divergence).sum(1).mean()


@MODELS.register_module()
class SDDLoss(nn.Module):
    """Module of :func:`scale_decoupled`; its connectors are :class:`~shake_mm.connectors.RegionalLogits`.

    Args:
        tau (float): Temperature, larger than 0. Defaults to 4.
        beta (float): Weight of regions that say another class than the whole image. Defaults to 2.
        loss_weight (float): Factor. Defaults to 1.
        by (str): What tells regions apart: ``'teacher'``, as in the paper's equations, or ``'labels'``, as in the
            authors' code. Defaults to ``'teacher'``.

    Raises:
        UsageError: If ``tau`` is not a positive number, ``beta`` is negative, or ``by`` is something else.
    """

    def __init__(self, tau: float = 4.0, beta: float = 2.0, loss_weight: float = 1.0, by: str = 'teacher') -> None:
        super().__init__()
        if by not in ('teacher', 'labels'):
            raise UsageError(f"SDDLoss: by={by!r} tells no regions apart: use 'teacher' or 'labels'.")
        if not (tau > 0 and beta >= 0):
            raise UsageError(
                f'SDDLoss: tau is {tau} and beta {beta}, but tau must be larger than 0 and beta 0 or more.'
            )
        self.tau, self.beta, self.loss_weight = tau, beta, loss_weight
        self.fields = ('gt_labels',) if by == 'labels' else ()

    def forward(self, logits: Tensor, target: Tensor, gt_labels: Tensor | None = None) -> Tensor:
        """Evaluate :func:`scale_decoupled` on logits of regions (N, R, K), by ``gt_labels`` (N,) if it is by labels."""
        labels = gt_labels if self.fields else None
        return self.loss_weight * scale_decoupled(logits, target, self.tau, self.beta, labels)
