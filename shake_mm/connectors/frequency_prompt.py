"""Prompts in the frequencies of a teacher's pyramid (FreeKD, Zhang et al., CVPR 2024), and what they let through."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import MODELS
from ..utils.wavelet import haar, inverse_haar


@MODELS.register_module()
class FrequencyPrompt(nn.Module):
    r"""Masks of the bands of a pyramid's frequencies, one for each of T learned prompts.

    It is a shared connector of ``source=['teacher0.f*']``. Each level is split by Haar's wavelets. The prompt
    :math:`P_{jt}` of a band j, a vector over channels, is looked for at each of its places:
    :math:`M_{jt} = \sigma(P_{jt} \cdot x_j)`; of a band of details, x is the sum over its three orientations.

    Args:
        in_shape (list): Shapes (C, H, W) of the levels; the distiller fills them in.
        prompts (int): T, at least 2. Defaults to 6.
        scales (int): How often a level is split. Defaults to 3.

    Raises:
        UsageError: If there are fewer, or the levels are not known.
    """

    def __init__(self, in_shape: Sequence[Any], prompts: int = 6, scales: int = 3) -> None:
        super().__init__()
        if prompts < 2 or scales < 1:
            raise UsageError(
                f'FrequencyPrompt: prompts={prompts} and scales={scales}, but it needs 2 prompts, which are to differ, '
                'and 1 scale at least.'
            )
        if not isinstance(in_shape, list) or any(shape is None for shape in in_shape):
            raise UsageError(
                "FrequencyPrompt: `source` must name levels of a network that runs without data: ['teacher0.f*']."
            )
        self.scales = scales
        self.prompts = nn.ParameterList(0.01 * torch.randn(scales + 1, prompts, shape[0]) for shape in in_shape)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Look for the prompts.

        Args:
            levels (Sequence[Tensor]): Maps (N, C, H, W).

        Returns:
            list[Tensor]: Masks (N, T, h, w); of each level of what is left first, then of the details from the finest
            scale to the coarsest.
        """
        masks = []
        for prompts, level in zip(self.prompts, levels):
            low, *details = haar(level.to(prompts.dtype), self.scales)
            bands = [low, *(detail.sum(2) for detail in details)]
            masks += [torch.einsum('tc,nchw->nthw', own, band).sigmoid() for own, band in zip(prompts, bands)]
        return masks


@MODELS.register_module()
class PromptedPyramid(nn.Module):
    """A pyramid whose bands are multiplied by the sum of their masks.

    It is a shared connector of ``source=['connectors.PROMPT', 'teacher0.f*']``, the first being a
    :class:`FrequencyPrompt`. Whether the teacher still finds its objects in it, an
    :class:`~shake_mm.losses.OwnLoss` tells.

    Args:
        in_shape (list): Shapes of the masks and of the levels; the distiller fills them in.

    Raises:
        UsageError: If they are not masks of as many bands for each level.
    """

    def __init__(self, in_shape: Sequence[Any]) -> None:
        super().__init__()
        _two(type(self).__name__, in_shape)

    def forward(self, features: Sequence[Any]) -> list[Tensor]:
        """Multiply the bands.

        Args:
            features (Sequence): The masks, and the levels (N, C, H, W).

        Returns:
            list[Tensor]: Maps (N, C, H, W), by level.
        """
        masks, levels = _two(type(self).__name__, features)
        number = len(masks) // len(levels)
        return [_prompted(x, masks[i * number : (i + 1) * number]) for i, x in enumerate(levels)]


@MODELS.register_module()
class PromptedHead(PromptedPyramid):
    """What a frozen teacher predicts of a :class:`PromptedPyramid`, where there are no labels for its own loss.

    The teacher's layers get no gradient.

    Args:
        behind (nn.Module): The head; called with the levels. The distiller fills it in.
        in_shape (list): Shapes of the masks and of the levels; filled in likewise.

    Raises:
        UsageError: If they are not masks of as many bands for each level.
    """

    def __init__(self, behind: nn.Module, in_shape: Sequence[Any]) -> None:
        super().__init__(in_shape)
        self.behind = behind

    def forward(self, features: Sequence[Any]) -> Any:
        """Predict.

        Args:
            features (Sequence): The masks, and the levels (N, C, H, W).

        Returns:
            list: What ``behind`` makes of them: class logits, boxes, and further outputs of the head, by level.
        """
        return self.behind(super().forward(features))


def _prompted(level: Tensor, masks: Sequence[Tensor]) -> Tensor:
    low, *details = haar(level.to(masks[0].dtype), len(masks) - 1)
    weights = [mask.sum(1, keepdim=True) for mask in masks]
    bands = [low * weights[0], *(detail * weight[:, :, None] for detail, weight in zip(details, weights[1:]))]
    return inverse_haar(bands, level.shape[2:])


def _two(name: str, values: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
    """The masks, and the levels."""
    masks, levels = values[0], values[1:]
    if isinstance(masks, list) and levels and len(masks) > len(levels) and len(masks) % len(levels) == 0:
        return masks, levels
    raise UsageError(
        f'{name}: `source` must name the masks of a FrequencyPrompt and then the levels that it reads: '
        "['connectors.prompt', 'teacher0.f*']."
    )
