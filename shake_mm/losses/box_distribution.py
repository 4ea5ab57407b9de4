"""Divergence of the distributions by which two detectors of the GFL family place the sides of their boxes."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UsageError
from ..registry import MODELS
from .pair import check_equal, full_precision, in_full_precision
from .places import Places, confidence, prior_rows

SIDES = 4
REGIONS = ('positives', 'all')
_SMALL = 1e-6


@full_precision
def localization_distillation(sides: Tensor, target: Tensor, weight: Tensor, tau: float = 10.0) -> Tensor:
    r"""Localization distillation (Zheng et al., CVPR 2022, Eq. 3): softened distributions of the sides of boxes.

    .. math::
        L = \sum_p w_p \, \frac{1}{4} \sum_{e \in \{l, t, r, b\}} \tau^2 \,
            \mathrm{KL}\big(\mathrm{softmax}(t_{pe} / \tau) \,\|\, \mathrm{softmax}(s_{pe} / \tau)\big)

    Args:
        sides (Tensor): :math:`s`, shape (N, P, 4 * B) of B bins for each of four sides.
        target (Tensor): :math:`t`, of the same shape; it gets no gradient.
        weight (Tensor): :math:`w`, shape (N, P).
        tau (float): Temperature, larger than 0. Defaults to 10.

    Returns:
        Tensor: A scalar.

    Example:
        >>> sides, target = torch.zeros(1, 1, 8), torch.tensor([[[30.0, 0.0] * 4]])
        >>> localization_distillation(sides, target, torch.ones(1, 1), tau=1.0)  # log 2
        tensor(0.6931)
    """
    s, t = ((x.unflatten(-1, (SIDES, -1)) / tau).log_softmax(-1) for x in (sides, target.detach()))
    divergence = F.kl_div(s, t, reduction='none', log_target=True).sum(-1).mean(-1)
    return tau**2 * (weight * divergence).sum()


@MODELS.register_module()
class LocalizationDistillationLoss(nn.Module):
    r""":func:`localization_distillation` of all levels.

    In the region ``'positives'`` a prior that was assigned to an object counts by the reference's confidence, and the
    loss is the sum; with ``'all'`` every valid prior does, and the loss is the mean by these weights. As in mmdet and
    the authors' release, a side's divergence may be the mean over its bins instead of the sum.

    Args:
        tau (float): Temperature, larger than 0. Defaults to 10.
        region (str): ``'positives'``, LD's main region, or ``'all'``. Defaults to ``'positives'``.
        mean_of_bins (bool): Whether a divergence is divided by its number of bins. Defaults to True.
        loss_weight (float): Factor. Defaults to 1.

    Raises:
        UsageError: If an argument is out of its range.
    """

    def __init__(
        self, tau: float = 10.0, region: str = 'positives', mean_of_bins: bool = True, loss_weight: float = 1.0
    ) -> None:
        super().__init__()
        if tau <= 0:
            raise UsageError(f'LocalizationDistillationLoss: tau={tau}, but a temperature must be larger than 0.')
        if region not in REGIONS:
            raise UsageError(f"LocalizationDistillationLoss: region='{region}', but it must be one of {REGIONS}.")
        self.tau, self.region, self.mean_of_bins, self.loss_weight = tau, region, mean_of_bins, loss_weight

    def forward(
        self,
        sides: Sequence[Tensor],
        target: Sequence[Tensor],
        places: Places,
        reference: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Evaluate the loss.

        Args:
            sides (Sequence[Tensor]): Maps (N, 4 * B, H, W) by level.
            target (Sequence[Tensor]): Of the same shapes.
            places (Places): What the student's own loss made of the priors.
            reference (Sequence[Tensor], optional): Class logits by level, maps (N, C, H, W): the term's ``reference``.
                Without them all priors of the region count 1.

        Returns:
            Tensor: A scalar.

        Raises:
            UsageError: If the shapes do not belong together.
        """
        return in_full_precision(self._evaluate, sides, target, places, reference)

    def _evaluate(
        self, sides: Sequence[Tensor], target: Sequence[Tensor], places: Places, reference: Sequence[Tensor] | None
    ) -> Tensor:
        region = places.positive if self.region == 'positives' else [level > 0 for level in places.weight]
        weight = torch.cat(region, dim=1).float()
        if reference is not None:
            weight = weight * confidence('LocalizationDistillationLoss', reference, region).detach()
        total = _total('LocalizationDistillationLoss', self, sides, target, region, weight)
        return total if self.region == 'positives' else total / weight.sum().clamp(min=_SMALL)


@MODELS.register_module()
class ValuableLocalizationLoss(nn.Module):
    r""":func:`localization_distillation` in LD's valuable region, around objects.

    A prior counts by its largest overlap with an object whose valuable region it is in, and the loss is the sum.

    Args:
        tau (float): Temperature, larger than 0. Defaults to 10.
        mean_of_bins (bool): Whether a divergence is divided by its number of bins. Defaults to True.
        loss_weight (float): Factor. Defaults to 1.

    Raises:
        UsageError: If the temperature is not positive.
    """

    def __init__(self, tau: float = 10.0, mean_of_bins: bool = True, loss_weight: float = 1.0) -> None:
        super().__init__()
        if tau <= 0:
            raise UsageError(f'ValuableLocalizationLoss: tau={tau}, but a temperature must be larger than 0.')
        self.tau, self.mean_of_bins, self.loss_weight = tau, mean_of_bins, loss_weight

    def forward(self, sides: Sequence[Tensor], target: Sequence[Tensor], valuable_places: Sequence[Tensor]) -> Tensor:
        """Evaluate the loss.

        Args:
            sides (Sequence[Tensor]): Maps (N, 4 * B, H, W) by level.
            target (Sequence[Tensor]): Of the same shapes.
            valuable_places (Sequence[Tensor]): What a prior counts, (N, P) by level.

        Returns:
            Tensor: A scalar.

        Raises:
            UsageError: If the shapes do not belong together.
        """
        return in_full_precision(self._evaluate, sides, target, list(valuable_places))

    def _evaluate(self, sides: Sequence[Tensor], target: Sequence[Tensor], places: Sequence[Tensor]) -> Tensor:
        weight = torch.cat(list(places), dim=1)
        return _total('ValuableLocalizationLoss', self, sides, target, places, weight)


def _total(
    name: str,
    loss: nn.Module,
    sides: Sequence[Tensor],
    target: Sequence[Tensor],
    places: Sequence[Tensor],
    weight: Tensor,
) -> Tensor:
    """The weighted sum over the priors of all levels."""
    a, b = (prior_rows(name, levels, places) for levels in (sides, target))
    check_equal(name, a, b)
    bins, rest = divmod(a.shape[-1], SIDES)
    if bins < 2 or rest:
        raise UsageError(
            f'{name}: {a.shape[-1]} numbers a prior are no distributions of the four sides of a box: take the '
            '`sides` of detectors of the GFL family.'
        )
    factor = loss.loss_weight / bins if loss.mean_of_bins else loss.loss_weight
    return factor * localization_distillation(a, b, weight, loss.tau)
