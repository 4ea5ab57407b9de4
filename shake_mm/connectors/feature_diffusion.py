"""Student features as noisy teacher features, which a diffusion model cleans (DiffKD, Huang et al., NeurIPS 2023)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import MODELS
from ..validation import check_number

TIMES = 1000
"""Steps of the noise's schedule, whose variances rise linearly."""
VARIANCES = (1e-4, 0.02)


def kept_shares(times: int = TIMES) -> Tensor:
    r"""What is left of a feature's variance after each step: :math:`\bar\alpha_t = \prod_{s \le t} (1 - \beta_s)`.

    Returns:
        Tensor: Shape (times,), in float64.
    """
    return (1 - torch.linspace(*VARIANCES, times, dtype=torch.float64)).cumprod(0)


def noised(feature: Tensor, noise: Tensor, kept: Tensor) -> Tensor:
    r"""A clean feature at a time of the diffusion: :math:`\sqrt{\bar\alpha} \, x + \sqrt{1 - \bar\alpha} \, \epsilon`.

    Args:
        feature (Tensor): x, shape (N, C, H, W).
        noise (Tensor): :math:`\epsilon`, of the same shape.
        kept (Tensor): :math:`\bar\alpha` of each, shape (N,).

    Returns:
        Tensor: Shape (N, C, H, W).
    """
    kept = kept[:, None, None, None]
    return kept.sqrt() * feature + (1 - kept).sqrt() * noise


def ddim_step(feature: Tensor, noise: Tensor, kept: float, then: float) -> Tensor:
    r"""One step towards the clean feature, without noise anew (DDIM's Eq. 12 for :math:`\sigma = 0`).

    .. math::
        x' = \sqrt{\bar\alpha'} \, \frac{x - \sqrt{1 - \bar\alpha} \, \epsilon}{\sqrt{\bar\alpha}}
            + \sqrt{1 - \bar\alpha'} \, \epsilon

    Args:
        feature (Tensor): x, shape (N, C, H, W).
        noise (Tensor): :math:`\epsilon`, predicted of it.
        kept (float): :math:`\bar\alpha` of its time.
        then (float): :math:`\bar\alpha'` of the time after the step; 1 in the end.

    Returns:
        Tensor: Shape (N, C, H, W).
    """
    clean = (feature - (1 - kept) ** 0.5 * noise) / kept**0.5
    return then**0.5 * clean + (1 - then) ** 0.5 * noise


def _convs(*widths: int, kernels: Sequence[int], last_norm: bool = True) -> nn.Sequential:
    """Convolutions with norms, and a ReLU between them."""
    layers: list[nn.Module] = []
    for i, kernel in enumerate(kernels):
        end = i == len(kernels) - 1
        layers.append(nn.Conv2d(widths[i], widths[i + 1], kernel, padding=kernel // 2))
        layers += [] if end and not last_norm else [nn.BatchNorm2d(widths[i + 1])]
        layers += [] if end else [nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class _Residual(nn.Module):
    """A bottleneck of three convolutions, added to what it reads (N, C, H, W)."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        inner = max(channels // reduction, 1)
        self.layers = _convs(channels, inner, inner, channels, kernels=(1, 3, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def _predictor(channels: int, pointwise: bool) -> nn.Sequential:
    """Predicts the noise in a feature with the time's embedding added; of vectors without a bottleneck."""
    if pointwise:
        wide = 4 * channels
        first = _convs(channels, wide, channels, kernels=(1, 1))
        return nn.Sequential(*first, *_convs(channels, wide, channels, kernels=(1, 1), last_norm=False))
    last = (nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels))
    return nn.Sequential(_Residual(channels, 4), _Residual(channels, 4), *last)


@MODELS.register_module()
class LinearAutoencoder(nn.Module):
    """Compresses a teacher's feature by a 1x1 convolution and a norm, and reconstructs it by another convolution.

    It is a shared connector of a teacher's map. The compressed feature is tapped as ``connectors.NAME[0]``, the
    reconstruction as ``[1]``, which a term compares with the teacher's.

    Args:
        in_channels (int): The map's; the distiller fills them in.
        latent_channels (int, optional): Of the compressed feature. Defaults to half of them.
    """

    def __init__(self, in_channels: int, latent_channels: int | None = None) -> None:
        super().__init__()
        latent = latent_channels or max(in_channels // 2, 1)
        self.encoder = nn.Sequential(nn.Conv2d(in_channels, latent, 1), nn.BatchNorm2d(latent))
        self.decoder = nn.Conv2d(latent, in_channels, 1)

    def forward(self, feature: Tensor) -> list[Tensor]:
        """Compress and reconstruct a map (N, C, H, W).

        Returns:
            list[Tensor]: Shapes (N, latent, H, W) and (N, C, H, W).
        """
        latent = self.encoder(feature)
        return [latent, self.decoder(latent)]


@MODELS.register_module()
class FeatureDiffusion(nn.Module):
    r"""A diffusion model that learns of a teacher's feature, and cleans the student's with what it has learned.

    It is a shared connector of ``source=['student.fm', 'connectors.latent[0]']``, or of another feature of both. The
    student's goes through a 1x1 convolution to the teacher's width. An adapter predicts how noisy it is already:
    :math:`\gamma x + (1 - \gamma) \epsilon` is what the model cleans, in a few steps of DDIM from the middle of the
    schedule on. Another 1x1 convolution is applied to what comes out. The teacher's feature gets noise of a random
    time, and the model predicts it; the feature gets no gradient. Vectors (N, C) are maps of one place, of pointwise
    layers.

    Args:
        in_shape (list): Shapes of the student's feature and of the teacher's; the distiller fills them in.
        steps (int): Number of steps. Defaults to 5.

    Raises:
        UsageError: If they are not two features of one kind, or there are no steps.
    """

    def __init__(self, in_shape: Sequence[Any], steps: int = 5) -> None:
        super().__init__()
        check_number('FeatureDiffusion: steps', steps, least=1)
        if not isinstance(in_shape, list) or len(in_shape) != 2 or None in in_shape or len({*map(len, in_shape)}) != 1:
            raise UsageError(
                f'FeatureDiffusion: `source` makes {in_shape}, but it must name two maps, or two vectors, of networks '
                "that run without data: the student's and the teacher's."
            )
        mine, its = (shape[0] for shape in in_shape)
        self.pointwise = len(in_shape[0]) == 1
        self.adapt, self.project = nn.Conv2d(mine, its, 1), nn.Conv2d(its, its, 1)
        self.time = nn.Embedding(TIMES, its)
        self.predictor = _predictor(its, self.pointwise)
        inner = _convs(its, 2 * its, its, kernels=(1, 1)) if self.pointwise else _Residual(its, 8)
        self.noise_adapter = nn.Sequential(inner, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(its, 2))
        kept, stride = kept_shares(), TIMES // (2 * steps)
        self.register_buffer('kept', kept.float(), persistent=False)
        # From the middle on, as Python's numbers: a step waits for no device.
        times = [i * stride for i in reversed(range(steps))]
        self.route = [(t, kept[t].item(), kept[t - stride].item() if t else 1.0) for t in times]

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Clean the student's feature, and let the model predict the noise in the teacher's.

        Args:
            features (Sequence[Tensor]): The student's and the teacher's, (N, C, H, W) or (N, C).

        Returns:
            list[Tensor]: The cleaned feature, and of the teacher's the predicted noise and the noise.

        Raises:
            UsageError: If there is one vector alone in training, which has no variance to be normalized by.
        """
        mine, its = features[0], features[1].detach().to(features[0].dtype)
        if self.pointwise:
            if self.training and len(mine) == 1:
                raise UsageError(
                    'FeatureDiffusion: a batch of one sample cannot be normalized: give the data loader drop_last=True.'
                )
            mine, its = mine[:, :, None, None], its[:, :, None, None]
        clean = self._clean(self.adapt(mine))
        noise = torch.randn_like(its)
        times = torch.randint(TIMES, (len(its),), device=its.device)
        predicted = self._predict(noised(its, noise, self.kept[times].to(its.dtype)), self.time(times))
        found = [clean, predicted, noise]
        return [x.flatten(1) for x in found] if self.pointwise else found

    def _clean(self, feature: Tensor) -> Tensor:
        share = self.noise_adapter(feature).softmax(1)[:, :1, None, None]
        x = share * feature + (1 - share) * torch.randn_like(feature)
        for time, kept, then in self.route:
            x = ddim_step(x, self._predict(x, self.time.weight[time : time + 1]), kept, then)
        return self.project(x)

    def _predict(self, feature: Tensor, embedding: Tensor) -> Tensor:
        return self.predictor(feature + embedding[:, :, None, None])
