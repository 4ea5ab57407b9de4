"""ConvRegressor: the convolution that each pair of sizes gets, and what it computes."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from shake_mm.connectors import ConvRegressor
from shake_mm.errors import UsageError

RULES = [
    ((16, 32, 32), (32, 32, 32), nn.Conv2d, (1, 1), 1),
    ((16, 16, 16), (32, 8, 8), nn.Conv2d, (3, 3), 2),
    ((16, 2, 2), (8, 1, 1), nn.Conv2d, (3, 3), 2),
    ((16, 4, 4), (8, 8, 8), nn.ConvTranspose2d, (4, 4), 2),
    ((16, 8, 8), (8, 7, 7), nn.Conv2d, (2, 2), 1),
    ((3, 9, 7), (4, 4, 7), nn.Conv2d, (6, 1), 1),
    ((3, 8, 7), (4, 4, 3), nn.Conv2d, (5, 5), 1),
]


@pytest.mark.parametrize(('in_shape', 'out_shape', 'kind', 'kernel', 'stride'), RULES)
def test_rule(in_shape, out_shape, kind, kernel, stride):
    regressor = ConvRegressor(in_shape, out_shape)
    convolution, norm, relu = regressor.layers
    assert type(convolution) is kind and isinstance(norm, nn.BatchNorm2d) and isinstance(relu, nn.ReLU)
    assert convolution.kernel_size == kernel and convolution.stride == (stride, stride)
    assert regressor(torch.rand(2, *in_shape)).shape == (2, *out_shape)
    weights = in_shape[0] * out_shape[0] * kernel[0] * kernel[1]
    assert sum(p.numel() for p in regressor.parameters()) == weights + 3 * out_shape[0]


@pytest.mark.parametrize('relu', [True, False])
def test_value(relu):
    regressor = ConvRegressor((3, 4, 4), (5, 4, 4), relu=relu).double().train()
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    weight, bias = regressor.layers[0].weight, regressor.layers[0].bias
    y = torch.einsum('oc,nchw->nohw', weight[:, :, 0, 0], x) + bias.view(-1, 1, 1)
    mean, variance = y.mean((0, 2, 3), keepdim=True), y.var((0, 2, 3), keepdim=True, correction=0)
    y = (y - mean) / (variance + 1e-5).sqrt()
    assert (y < 0).any()
    torch.testing.assert_close(regressor(x), y.clamp(min=0) if relu else y)


def test_stride_two_is_centered():
    """The transposed convolution and the strided one are each other's transpose in size: both pad by 1."""
    down, up = ConvRegressor((1, 8, 8), (1, 4, 4)).layers[0], ConvRegressor((1, 4, 4), (1, 8, 8)).layers[0]
    x, y = torch.randn(1, 1, 8, 8), torch.randn(1, 1, 4, 4)
    torch.testing.assert_close(down(x), F.conv2d(F.pad(x, (1, 1, 1, 1)), down.weight, down.bias, stride=2))
    full = F.conv_transpose2d(y, up.weight, up.bias, stride=2)
    torch.testing.assert_close(up(y), full[:, :, 1:-1, 1:-1])


def test_keep_equal():
    x = torch.randn(2, 3, 4, 4)
    kept = ConvRegressor((3, 4, 4), (3, 4, 4), relu=False, keep_equal=True)
    assert kept(x) is x and not list(kept.parameters())
    assert list(ConvRegressor((3, 4, 4), (3, 4, 4)).parameters())
    for other in ((4, 4, 4), (3, 2, 2)):
        assert ConvRegressor((3, 4, 4), other, keep_equal=True)(x).shape == (2, *other)


@pytest.mark.parametrize(('size', 'wanted'), [((4, 4), (6, 6)), ((8, 4), (4, 8)), ((2, 2), (8, 8))])
def test_no_convolution(size, wanted):
    with pytest.raises(UsageError, match='no convolution leads from in_shape'):
        ConvRegressor((3, *size), (3, *wanted))


def test_needs_maps():
    with pytest.raises(UsageError, match=r'in_shape is \(64,\).*before the pooling'):
        ConvRegressor((64,), (3, 4, 4))
