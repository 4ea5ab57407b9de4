"""The networks of factor transfer: their layers, sizes and parameter counts."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from shake_mm.connectors import ParaphraserDecoder, ParaphraserEncoder, Translator
from shake_mm.errors import UsageError

BUILDS = [
    (ParaphraserEncoder, (8,), (8, 8, 4, 4), nn.Conv2d, False),
    (ParaphraserEncoder, (9, 0.75), (9, 9, 6, 6), nn.Conv2d, False),
    (ParaphraserDecoder, (4, 8), (4, 4, 8, 8), nn.ConvTranspose2d, False),
    (Translator, (6, 4), (6, 6, 4, 4), nn.Conv2d, True),
]


def layers_of(convolution, norm):
    return [convolution, nn.BatchNorm2d, nn.LeakyReLU] * 3 if norm else [convolution, nn.LeakyReLU] * 3


@pytest.mark.parametrize(('cls', 'arguments', 'channels', 'convolution', 'norm'), BUILDS)
def test_layers(cls, arguments, channels, convolution, norm):
    for network, has_norm in ((cls(*arguments), norm), (cls(*arguments, batch_norm=not norm), not norm)):
        assert [type(layer) for layer in network] == layers_of(convolution, has_norm)
        pairs = list(zip(channels, channels[1:]))
        weights = sum(9 * c_in * c_out + c_out for c_in, c_out in pairs)
        assert sum(p.numel() for p in network.parameters()) == weights + has_norm * 2 * sum(channels[1:])
        x = torch.randn(2, channels[0], 5, 3)
        assert network(x).shape == (2, channels[-1], 5, 3)


def test_value():
    network = ParaphraserEncoder(4).double()
    x = torch.randn(2, 4, 5, 5, dtype=torch.float64)
    expected = x
    for convolution in list(network)[::2]:
        expected = F.conv2d(F.pad(expected, (1, 1, 1, 1)), convolution.weight, convolution.bias)
        expected = torch.where(expected > 0, expected, 0.1 * expected)
    torch.testing.assert_close(network(x), expected)


def test_nothing_works_in_place():
    """What a tap has recorded stays as it was."""
    x = torch.randn(2, 4, 3, 3)
    before = x.clone()
    ParaphraserDecoder(2, 4)(ParaphraserEncoder(4)(x)).sum().backward()
    Translator(4, 2)(x)
    assert x.equal(before)


@pytest.mark.parametrize('ratio', [0.1, 0.0, -1.0])
def test_a_factor_needs_channels(ratio):
    with pytest.raises(UsageError, match=f'ratio={ratio} of ParaphraserEncoder'):
        ParaphraserEncoder(8, ratio)
