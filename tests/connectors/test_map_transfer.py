import torch
from torch.nn import functional as F

from shake_mm.connectors import MapTransfer


def test_a_convolution_a_norm_and_a_relu():
    layer, x = MapTransfer(3, 5).double(), torch.randn(4, 3, 6, 6, dtype=torch.float64)
    y = F.conv2d(x, layer[0].weight, padding=1)
    y = (y - y.mean((0, 2, 3), keepdim=True)) / (y.var((0, 2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(layer(x), y.clamp(min=0))
