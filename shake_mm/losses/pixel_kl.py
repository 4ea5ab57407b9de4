"""Divergence of the class predictions of segmentors, pixel by pixel."""

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UsageError
from ..registry import MODELS
from .dense_kl import ACTIVATIONS, Bernoulli
from .pair import full_precision


@full_precision
def pixel_kl(
    logits: Tensor,
    target: Tensor,
    labels: Tensor | None = None,
    *,
    tau: float = 4.0,
    activation: str = 'softmax',
    ignore_index: int | None = 255,
    align_corners: bool = False,
) -> Tensor:
    r"""Divergence of softened predictions, a mean over the pixels whose label is not ignored.

    .. math::
        L(a, b) = \frac{\sum_i w_i D_i}{\sum_i w_i}, \qquad
        D_i = \tau^2 \, \mathrm{KL}\big(\mathrm{softmax}(b_i / \tau) \,\|\, \mathrm{softmax}(a_i / \tau)\big)
        \;\text{or}\; \tau^2 \sum_c \mathrm{KL}\big(\mathrm{B}(\sigma(b_{ic} / \tau)) \| \mathrm{B}(\sigma(a_{ic} /
        \tau))\big)

    over the pixels of the larger of the two maps. The smaller is enlarged bilinearly, as segmentors enlarge their
    logits to predict; so networks of different strides can be compared, and nothing more is computed where they agree.
    :math:`w_i` is the share of the label pixels below pixel :math:`i` that are not ignored, and 1 without labels. Under
    distributed training :math:`\sum_i w_i` is the mean over processes. No gradient flows into the target.

    Args:
        logits (Tensor): :math:`a`, shape (N, K, H, W).
        target (Tensor): :math:`b`, shape (N, K, H', W').
        labels (Tensor, optional): Shape (N, 1, h, w) or (N, h, w), of any size.
        tau (float): Temperature, larger than 0. Defaults to 4.
        activation (str): ``'softmax'``, or ``'sigmoid'`` where each class is by itself. Defaults to ``'softmax'``.
        ignore_index (int, optional): The label of pixels that do not count. Defaults to 255, as in mmsegmentation.
        align_corners (bool): How the smaller map is enlarged. Defaults to False.

    Returns:
        Tensor: A scalar.

    Raises:
        UsageError: If they are no maps, or the classes differ.

    Example:
        >>> a, b = torch.zeros(1, 2, 4, 4), torch.tensor([9.0, -9.0]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
        >>> pixel_kl(a, b, tau=1.0)  # log 2, nearly, where the target is sure
        tensor(0.6931)
    """
    if logits.dim() != 4 or target.dim() != 4 or logits.shape[:2] != target.shape[:2]:
        raise UsageError(
            f'PixelKLLoss: the logits have shape {tuple(logits.shape)} and the target {tuple(target.shape)}, but both '
            'must be maps (N, K, H, W) of the same images and classes: tap the classifiers of two segmentors of as '
            'many classes.'
        )
    size = tuple(max(pair) for pair in zip(logits.shape[2:], target.shape[2:]))
    a, b = (_resized(x, size, align_corners) for x in (logits, target.detach()))
    divergence = _sigmoid(a, b, tau) if activation == 'sigmoid' else _softmax(a, b, tau)
    weight = _weights(divergence, labels, ignore_index)
    total = weight.sum()
    if not total.is_meta:  # a dry run has nothing to send
        all_reduce(total, op='mean')
    return (weight * divergence).sum() / total.clamp(min=torch.finfo(total.dtype).tiny)


def _resized(x: Tensor, size: tuple[int, ...], align_corners: bool) -> Tensor:
    if tuple(x.shape[2:]) == size:
        return x
    return F.interpolate(x, size=size, mode='bilinear', align_corners=align_corners)


def _softmax(a: Tensor, b: Tensor, tau: float) -> Tensor:
    """Divergences of the distributions over dimension 1."""
    a, b = ((x / tau).log_softmax(1) for x in (a, b))
    return tau**2 * F.kl_div(a, b, reduction='none', log_target=True).sum(1)


def _sigmoid(a: Tensor, b: Tensor, tau: float) -> Tensor:
    """Sums of the divergences of every class, over dimension 1."""
    height, width = a.shape[2:]
    a, b = (x.flatten(2).transpose(1, 2).flatten(0, 1).unsqueeze(1) for x in (a, b))
    return Bernoulli.apply(a, b, tau).view(-1, height, width)


def _weights(divergence: Tensor, labels: Tensor | None, ignore_index: int | None) -> Tensor:
    """What each pixel counts, of the shape (N, H, W) of the divergences."""
    if labels is None or ignore_index is None:
        return torch.ones_like(divergence).detach()
    valid = (labels.reshape(len(labels), 1, *labels.shape[-2:]) != ignore_index).to(divergence.dtype)
    return F.adaptive_avg_pool2d(valid, divergence.shape[1:]).squeeze(1)


@MODELS.register_module()
class PixelKLLoss(nn.Module):
    """Module of :func:`pixel_kl`, for segmentors of mmsegmentation.

    Args:
        tau (float): Temperature, larger than 0. Defaults to 4.
        activation (str): ``'softmax'`` or ``'sigmoid'``. Defaults to ``'softmax'``.
        ignore_index (int, optional): The label of pixels that do not count; with None all do, and no labels are asked
            for. Defaults to 255.
        align_corners (bool): How a smaller map is enlarged. Defaults to False.
        loss_weight (float): Factor. Defaults to 1.

    Raises:
        UsageError: If ``tau`` or ``activation`` is none.
    """

    def __init__(
        self,
        tau: float = 4.0,
        activation: str = 'softmax',
        ignore_index: int | None = 255,
        align_corners: bool = False,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        if not tau > 0:
            raise UsageError(f'PixelKLLoss: tau={tau}, but a temperature must be larger than 0.')
        if activation not in ACTIVATIONS:
            raise UsageError(f"PixelKLLoss: activation='{activation}', but it must be one of {ACTIVATIONS}.")
        self.tau, self.activation, self.loss_weight = tau, activation, loss_weight
        self.ignore_index, self.align_corners = ignore_index, align_corners
        self.fields = () if ignore_index is None else ('gt_sem_seg',)

    def forward(self, logits: Tensor, target: Tensor, gt_sem_seg: Tensor | None = None) -> Tensor:
        """Evaluate :func:`pixel_kl` on maps (N, K, H, W) and labels (N, 1, h, w)."""
        options = dict(ignore_index=self.ignore_index, align_corners=self.align_corners)
        return self.loss_weight * pixel_kl(
            logits, target, gt_sem_seg, tau=self.tau, activation=self.activation, **options
        )
