"""What networks answer outside of a training: what an export compares, and what a deployed one gives."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ..errors import UsageError


class Answers:
    """The part of a task that is about finished networks."""

    def outputs(self, network: nn.Module, inputs: Tensor) -> list[Tensor]:
        """What the network computes for a batch, as plain tensors (to compare an exported network with)."""
        raise NotImplementedError

    def raw_outputs(self, network: nn.Module, inputs: Tensor) -> dict[str, Tensor]:
        """What a deployed network answers, by name: tensors whose number and shapes no picture changes.

        Args:
            network (nn.Module): In evaluation mode.
            inputs (Tensor): Normalized images (N, C, H, W).

        Returns:
            dict[str, Tensor]: Each of a first axis N.

        Raises:
            UsageError: If such networks answer otherwise, as two-stage detectors do.
        """
        raise UsageError(
            f'deploy: what a {type(network).__name__} answers is more than plain maps, as it chooses boxes or queries '
            'on its way: export it (`python -m shake_mm export`) and convert that with mmdeploy, see docs/deploy.md.'
        )

    def input_shape(self, config: Mapping[str, Any]) -> tuple[int, int, int]:
        """Channels, height and width of images that a network of this config takes."""
        backbone = config.get('backbone', {})
        size = backbone.get('img_size', 224)
        height, width = (size, size) if isinstance(size, int) else size
        return backbone.get('in_channels', 3), height, width
