"""A proxy teacher inside the student's own convolutions (SHAKE's S-BN, 0.75x and 0.5x variants)."""

from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import MODELS, build_part
from .slimming import narrowed


@MODELS.register_module()
class ShadowSubnet(BaseModule):
    """The student's convolutions on their first channels, with BatchNorm and a head of its own (supplement, Table 3).

    At full ``width`` this is the paper's S-BN, read as a second pass: the images run through the student's own
    weights once more, normalized by the proxy's affine parameters and statistics. (The paper's times, 7,186 s beside
    7,122 s for the head alone, do not fit a second pass; it does not say how it was done.)

    Args:
        student (nn.Module): The student; the distiller fills it in. It is not a part of this.
        head (dict): Config of the head, whose ``in_channels`` is replaced by the narrower body's. The distiller fills
            in the student's own head if it is left out.
        input_size (tuple[int, int]): Height and width of the images; the distiller fills it in.
        width (float): Share of the channels, in (0, 1]. Defaults to 1.
        source (str): The tap that holds the images.
        init_cfg (dict, optional): Initialization, see :class:`mmengine.model.BaseModule`.

    Raises:
        UsageError: If the student has layers that cannot be shared.
    """

    reads = 'student.inputs'

    def __init__(
        self,
        student: nn.Module,
        head: dict,
        input_size: Sequence[int],
        width: float = 1.0,
        source: str = reads,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.source, self.width = source, width
        if not hasattr(student, 'extract_feat'):
            raise UsageError(f'ShadowSubnet: a {type(student).__name__} has no body to share: use a ShadowHead.')
        try:
            self.body, channels = narrowed(student, width, input_size)
        except UsageError as error:
            raise UsageError(f'ShadowSubnet: {error}') from None
        self.head = build_part({**head, 'in_channels': channels} if 'in_channels' in head else head)

    def init_weights(self) -> None:
        """Initialize the head; BatchNorm is new, and the rest is the student's."""
        self.head.init_weights()

    def forward(self, inputs: Tensor) -> Tensor:
        """Classify images.

        Args:
            inputs (Tensor): The student's batch, shape (N, 3, H, W).

        Returns:
            Tensor: Logits of shape (N, K).
        """
        return self.head(self.body.extract_feat(inputs))
