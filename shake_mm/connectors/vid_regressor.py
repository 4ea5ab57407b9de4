"""The regressor of variational information distillation, as the CRD benchmark builds it."""

from torch import nn

from ..registry import MODELS


@MODELS.register_module()
class VIDRegressor(nn.Sequential):
    """Three 1x1 convolutions with ReLUs between them, without biases and batch norm: the mean that VID predicts.

    The benchmark pools a student's map that is larger than the teacher's before this regressor; with
    :class:`~shake_mm.losses.VIDLoss` it is pooled after it. Maps of equal size, or a smaller student's, see no
    difference.

    Args:
        in_channels (int): Channels that are read.
        out_channels (int): Channels of the result and of the layers between.

    Shape:
        - Input: :math:`(N, C_{in}, H, W)`
        - Output: :math:`(N, C_{out}, H, W)`

    Example:
        >>> VIDRegressor(16, 32)(torch.rand(2, 16, 8, 8)).shape
        torch.Size([2, 32, 8, 8])
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 1, bias=False),
        )
