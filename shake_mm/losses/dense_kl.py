"""Divergence of the class predictions of detectors, at the same places, without ground truth."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from ..errors import UsageError
from ..registry import MODELS
from .pair import full_precision

ACTIVATIONS = ('sigmoid', 'softmax')
WEIGHTINGS = ('confidence', 'uniform')
Logits: TypeAlias = Tensor | Sequence[Tensor]


def dense_kl(
    logits: Logits,
    target: Logits,
    reference: Logits | None = None,
    *,
    num_classes: int,
    tau: float = 4.0,
    activation: str = 'sigmoid',
    weighting: str = 'confidence',
    gamma: float = 2.0,
    threshold: float = 0.0,
    places: float = 1.0,
) -> Tensor:
    r"""Divergence of softened class predictions, a weighted mean over the locations of all levels and images.

    With the logits :math:`a_l`, the target's :math:`b_l` and the reference's :math:`r_l` at location :math:`l` (an
    anchor, a point or a RoI),

    .. math::
        L(a, b; r) = \frac{\sum_l w_l D_l}{\max(\sum_l w_l, 1)}, \qquad
        w_l = \big(\max_c \sigma(r_{lc})\big)^\gamma \;\text{or}\; \big(1 - \mathrm{softmax}(r_l)_{bg}\big)^\gamma, \\
        D_l = \tau^2 \sum_c \mathrm{KL}\big(\mathrm{B}(\sigma(b_{lc} / \tau)) \| \mathrm{B}(\sigma(a_{lc} / \tau))\big)
        \;\text{or}\; \tau^2 \, \mathrm{KL}\big(\mathrm{softmax}(b_l / \tau) \,\|\, \mathrm{softmax}(a_l / \tau)\big)

    for heads with sigmoids, :math:`\mathrm{B}` being a Bernoulli distribution, or with a softmax, whose last channel is
    the background. Most locations are background, on which detectors agree, so a location counts by the reference's
    confidence that there is something; or all count 1. No gradient flows into targets and weights.
    Half precision is compared in float32. In distributed training :math:`\sum_l w_l` is the mean over processes.

    Args:
        logits (Tensor | Sequence[Tensor]): :math:`a`, maps (N, A * C, H, W) of one or more levels, for each of A
            anchors the C classes in turn, or rows (R, C).
        target (Tensor | Sequence[Tensor]): :math:`b`, of the same shapes.
        reference (Tensor | Sequence[Tensor], optional): :math:`r`, of the same shapes. Defaults to the target.
        num_classes (int): C, the number of channels at a location.
        tau (float): Temperature, larger than 0. Defaults to 4.
        activation (str): ``'sigmoid'`` or ``'softmax'``. Defaults to ``'sigmoid'``.
        weighting (str): ``'confidence'`` or ``'uniform'``. Defaults to ``'confidence'``.
        gamma (float): Power of the confidence. Defaults to 2.
        threshold (float): Smaller weights count 0. Defaults to 0.
        places (float): Share of the locations of each level that count, the heaviest of an image. Defaults to 1.

    Returns:
        Tensor: A scalar.

    Raises:
        UsageError: If levels or shapes differ, or do not hold C channels for each location.

    Example:
        >>> a, b = torch.tensor([[0.0, 0.0]]), torch.tensor([[9.0, -9.0]])
        >>> dense_kl(a, b, num_classes=2, tau=1.0)  # log 2 of each class, nearly, where the target is sure
        tensor(1.3835)
    """
    a, b, r = _checked(num_classes, logits, target, target if reference is None else reference)
    options = (num_classes, tau, activation, gamma if weighting == 'confidence' else None, threshold, places)
    divergence, weight = sum(_sums(*level, *options) for level in zip(a, b, r)).unbind()  # and no second copy of all
    weight = weight.detach().clone()
    if not weight.is_meta:  # a dry run has nothing to send
        all_reduce(weight, op='mean')
    return divergence / weight.clamp(min=1)


@full_precision
def _sums(
    a: Tensor,
    b: Tensor,
    r: Tensor,
    num_classes: int,
    tau: float,
    activation: str,
    gamma: float | None,
    threshold: float,
    places: float,
) -> Tensor:
    """Sums of the weighted divergences and of the weights of one level, shape (2,); without ``gamma`` weights are 1."""
    a, b, r = (x.unflatten(1, (-1, num_classes)) for x in (a, b.detach(), r.detach().to(a.dtype)))
    weight = None if gamma is None else object_logit(r, activation).sigmoid() ** gamma
    if weight is not None and places < 1:
        a, b, weight = _heaviest(a, b, weight, places)
    divergence = (Bernoulli.apply if activation == 'sigmoid' else _categorical)(a, b, tau)
    weight = torch.ones_like(divergence) if weight is None else weight
    weight = torch.where(weight >= threshold, weight, 0.0).detach()
    return torch.stack([(weight * divergence).sum(), weight.sum()])


class Bernoulli(Function):
    """tau^2 KL(B(sigma(b / tau)) || B(sigma(a / tau))), summed over dimension 2.

    Written out, because it is evaluated for every class at every place. By softplus(x) = max(x, 0) - log sigma(|x|),
    sigma(b) (b - a) + softplus(a) - softplus(b) takes two sigmoids and a logarithm, is exactly 0 where both are equal
    and finite where they saturate. The gradient is tau (sigma(a / tau) - sigma(b / tau)).
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, tau: float) -> Tensor:
        """Divergences, shape (N, A), of logits (N, A, K) from a target's."""
        p, q = ((x / tau).sigmoid_() for x in (a, b))
        ctx.tau = tau
        ctx.save_for_backward(p - q)
        value = (q - 0.5).abs_().add_(0.5).div_(p.sub_(0.5).abs_().add_(0.5)).log_().mul_(tau)  # sigma(|x|) of q and p
        spare = p  # fresh memory would cost as much as the arithmetic
        value.addcmul_(q, torch.sub(b, a, out=spare))
        value.add_(torch.clamp(a, min=0, out=spare)).sub_(torch.clamp(b, min=0, out=spare))
        return value.sum(2).mul_(tau)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """The gradient with respect to the logits, shape (N, A, K)."""
        (slope,) = ctx.saved_tensors
        return (ctx.tau * gradient).unsqueeze(2) * slope, None, None


def _heaviest(a: Tensor, b: Tensor, weight: Tensor, share: float) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (N, k, K) of the places of the largest weights of each image, and these; of rows, of all together."""
    if a.dim() == 3:
        a, b, weight = a.transpose(0, 1), b.transpose(0, 1), weight.transpose(0, 1)
        kept, index = weight.topk(max(1, round(share * weight.shape[1])) if weight.shape[1] else 0, dim=1)
        return a[0, index], b[0, index], kept
    area = weight[0, 0].numel()
    kept, index = weight.flatten(1).topk(max(1, round(share * weight[0].numel())), dim=1)
    first = index // area * (a.shape[2] * area) + index % area
    where = (first.unsqueeze(2) + area * torch.arange(a.shape[2], device=a.device)).flatten(1)
    return *(x.flatten(1).gather(1, where).unflatten(1, (-1, a.shape[2])) for x in (a, b)), kept


def _categorical(a: Tensor, b: Tensor, tau: float) -> Tensor:
    """tau^2 KL(softmax(b / tau) || softmax(a / tau)), both over dimension 2."""
    a, b = ((x / tau).log_softmax(2) for x in (a, b))
    return tau**2 * F.kl_div(a, b, reduction='none', log_target=True).sum(2)


def object_logit(r: Tensor, activation: str) -> Tensor:
    """The logit of a location's confidence: of its largest class, or of all but the last, over dimension 2."""
    if activation == 'sigmoid':
        return r.amax(2)
    # of 1 - softmax(r)[bg], so that small ones do not cancel
    return r[:, :, :-1].logsumexp(2) - r[:, :, -1]


def _checked(num_classes: int, logits: Logits, target: Logits, reference: Logits) -> list[list[Tensor]]:
    """The levels of all three, which agree with each other and with the number of classes."""
    a, b, r = (_levels(x) for x in (logits, target, reference))
    _check_equal('target', a, b)
    _check_equal('reference', a, r)
    _check_channels(a, num_classes)
    return [a, b, r]


def _levels(x: Logits) -> list[Tensor]:
    return [x] if isinstance(x, Tensor) else list(x)


def _shapes(levels: Sequence[Tensor]) -> str:
    return ', '.join(str(tuple(x.shape)) for x in levels) or 'none'


def _check_equal(name: str, logits: list[Tensor], other: list[Tensor]) -> None:
    """Refuse levels that differ in number or shape."""
    if not logits or [x.shape for x in logits] != [x.shape for x in other]:
        raise UsageError(
            f'DenseKLLoss: the logits have shapes {_shapes(logits)} and the {name} {_shapes(other)}, but '
            'they must be equal: strides, anchors per location and classes of the two detectors must agree.'
        )


def _check_channels(levels: list[Tensor], num_classes: int) -> None:
    """Refuse tensors that are neither maps with whole groups of classes nor rows of one group."""
    for x in levels:
        maps, rows = x.dim() == 4 and x.shape[1] % num_classes == 0, x.dim() == 2 and x.shape[1] == num_classes
        if not (maps or rows):
            raise UsageError(
                f'DenseKLLoss: the logits have shapes {_shapes(levels)}, but with num_classes={num_classes} they '
                f'must be maps (N, A * {num_classes}, H, W) or rows (R, {num_classes}): set `num_classes` to the '
                "head's `cls_out_channels`."
            )


@MODELS.register_module()
class DenseKLLoss(nn.Module):
    """Module of :func:`dense_kl`, for dense heads and the RoI heads of detectors.

    Args:
        num_classes (int): Channels at a location: mmdet's ``cls_out_channels``, with a softmax one more than there are
            classes.
        tau (float): Temperature, larger than 0. Defaults to 4.
        activation (str): ``'sigmoid'`` or ``'softmax'``. Defaults to ``'sigmoid'``.
        weighting (str): What a location counts, ``'confidence'`` or ``'uniform'``. Defaults to ``'confidence'``.
        gamma (float): Power of the confidence, at least 0. Defaults to 2.
        threshold (float): Smaller weights count 0. Defaults to 0.
        places (float): Share of the locations that are compared, those of the largest weight. Defaults to 1.
        loss_weight (float): Factor. Defaults to 1.

    Raises:
        UsageError: If an argument is out of its range.
    """

    def __init__(
        self,
        num_classes: int,
        tau: float = 4.0,
        activation: str = 'sigmoid',
        weighting: str = 'confidence',
        gamma: float = 2.0,
        threshold: float = 0.0,
        places: float = 1.0,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        least = 1 + (activation == 'softmax')
        for right, message in (
            (activation in ACTIVATIONS, f"activation='{activation}', but it must be one of {ACTIVATIONS}"),
            (weighting in WEIGHTINGS, f"weighting='{weighting}', but it must be one of {WEIGHTINGS}"),
            (num_classes >= least, f"num_classes={num_classes}, but '{activation}' needs at least {least}"),
            (tau > 0, f'tau={tau}, but a temperature must be larger than 0'),
            (gamma >= 0, f'gamma={gamma}, but it must be a number >= 0'),
            (threshold <= 1, f'threshold={threshold}, but weights are at most 1'),
            (0 < places <= 1, f'places={places}, but it is a share of all of them: give more than 0 and at most 1'),
            (
                places == 1 or weighting == 'confidence',
                f"places={places} needs weighting='confidence', which ranks them",
            ),
        ):
            if not right:
                raise UsageError(f'DenseKLLoss: {message}.')
        self.options: dict[str, Any] = dict(
            num_classes=num_classes,
            tau=tau,
            activation=activation,
            weighting=weighting,
            gamma=gamma,
            threshold=threshold,
            places=places,
        )
        self.loss_weight = loss_weight

    def forward(self, logits: Logits, target: Logits, reference: Logits | None = None) -> Tensor:
        """Evaluate :func:`dense_kl` on maps of one or more levels, or on rows."""
        return self.loss_weight * dense_kl(logits, target, reference, **self.options)
