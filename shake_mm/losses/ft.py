"""Factor transfer (Kim et al., 2018), in the paper's form and in the CRD benchmark's."""

from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UsageError
from ..registry import MODELS
from .at import attention_map
from .pair import full_precision, matched_maps, unit_rows

FORMS = ('factor', 'attention')


@full_precision
def factor_transfer(feature: Tensor, target: Tensor, form: str = 'factor') -> Tensor:
    r"""Mean absolute difference of normalized factors; the larger map is pooled to the smaller's size.

    .. math::
        L(s, t) = \operatorname{mean} \big| u(s) - u(t) \big|

    where the form says what :math:`u` is: for ``'factor'`` the whole flattened factor, of unit length, as in the paper;
    for ``'attention'`` the :func:`~shake_mm.losses.attention_map` of the factor, as in the CRD benchmark. Weights of
    one form do not suit the other.

    Args:
        feature (Tensor): :math:`s`, the translated factor of the student, shape (N, C_s, H_s, W_s).
        target (Tensor): :math:`t`, the teacher's factor, shape (N, C_t, H_t, W_t); it gets no gradient.
        form (str): ``'factor'``, which needs :math:`C_s = C_t`, or ``'attention'``. Defaults to ``'factor'``.

    Returns:
        Tensor: A scalar.

    Raises:
        UsageError: If they are not maps of the same batch and, for ``'factor'``, channels.

    Example:
        >>> factor_transfer(torch.tensor([[[[3.0, 4.0]]]]), torch.tensor([[[[1.0, 0.0]]]]))
        tensor(0.6000)
    """
    whole = form == 'factor'
    feature, target = matched_maps('FTLoss', feature, target.detach(), same_channels=whole)
    if whole:
        return F.l1_loss(unit_rows(feature.flatten(1)), unit_rows(target.flatten(1)))
    return F.l1_loss(attention_map(feature), attention_map(target))


@MODELS.register_module()
class FTLoss(nn.Module):
    """Module of :func:`factor_transfer`.

    Its usual connectors are a :class:`~shake_mm.connectors.Translator` and, on the teacher's side, a
    :class:`~shake_mm.connectors.ParaphraserEncoder`.

    Args:
        form (str): ``'factor'`` (paper) or ``'attention'`` (CRD benchmark). Defaults to ``'factor'``.
        loss_weight (float): Factor. Defaults to 1.

    Raises:
        UsageError: If there is no such form.
    """

    def __init__(self, form: str = 'factor', loss_weight: float = 1.0) -> None:
        super().__init__()
        if form not in FORMS:
            raise UsageError(f"form of FTLoss is '{form}': use '{FORMS[0]}' (paper) or '{FORMS[1]}' (CRD benchmark).")
        self.form, self.loss_weight = form, loss_weight

    def forward(self, feature: Tensor, target: Tensor) -> Tensor:
        """Evaluate :func:`factor_transfer` on factors (N, C, H, W)."""
        return self.loss_weight * factor_transfer(feature, target, self.form)
