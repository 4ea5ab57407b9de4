"""Grad-CAM by its formula, on networks whose gradients are known, and through members of a distiller."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from shake_mm.errors import UsageError
from shake_mm.run_report.activation import class_activation


class Net(nn.Module):
    """Convolutions, of which the second makes the map, and a classifier of means."""

    def __init__(self, tail=None):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 5, 3, stride=2))
        self.last = nn.ReLU(inplace=True)  # changes what the layer before has returned
        self.head = nn.Linear(5, 7)

    def forward(self, x):
        return self.head(self.last(self.body(x)).mean((2, 3)))


@pytest.mark.parametrize('frozen', [False, True])
def test_by_its_formula(frozen):
    """Behind a mean and a linear layer, the weight of a channel is the classifier's, over the number of places."""
    torch.manual_seed(0)
    net = Net().double().requires_grad_(not frozen)
    images, classes = torch.randn(3, 3, 12, 12, dtype=torch.float64), torch.tensor([0, 6, 3])
    found = class_activation(net, net.modules(), images, classes)
    with torch.no_grad():
        maps = net.body(images).relu()
        weights = net.head.weight[classes] / maps[0, 0].numel()
        expected = (weights[..., None, None] * maps).sum(1).relu()
        expected = F.interpolate(expected.float()[:, None], size=(12, 12), mode='bilinear')[:, 0]
        expected = expected / expected.amax((1, 2), keepdim=True)
    torch.testing.assert_close(found, expected)
    assert found.shape == (3, 12, 12) and found.amin() >= 0 and found.amax() == 1
    assert not any(parameter.grad is not None for parameter in net.parameters())
    assert not any(layer._forward_hooks for layer in net.modules())


class Tokens(nn.Module):
    """A class token and 2×2 places; the classifier reads the first token alone, which the last layer has mixed."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 4, 4, stride=4)
        self.block, self.norm, self.head = nn.Linear(4, 4), nn.Identity(), nn.Linear(4, 6)

    def forward(self, x):
        places = self.patches(x).flatten(2).transpose(1, 2)
        tokens = self.block(torch.cat([places.mean(1, keepdim=True), places], 1))
        tokens = self.norm(torch.cat([tokens.sum(1, keepdim=True), tokens[:, 1:]], 1))
        return self.head(tokens[:, 0])


def test_tokens_are_laid_out_as_places():
    """No gradient reaches the places of the last layer's tokens, so those of the block before it are shown."""
    torch.manual_seed(0)
    net = Tokens()
    images, classes = torch.randn(2, 3, 8, 8), torch.tensor([5, 1])
    found = class_activation(net, net.modules(), images, classes)
    places = net.patches(images).flatten(2).transpose(1, 2)
    tokens = net.block(torch.cat([places.mean(1, keepdim=True), places], 1))[:, 1:]
    expected = (tokens * net.head.weight[classes][:, None]).sum(2).relu().unflatten(1, (2, 2)).detach()
    expected = F.interpolate(expected[:, None], size=(8, 8), mode='bilinear')[:, 0]
    torch.testing.assert_close(found, expected / expected.amax((1, 2), keepdim=True).clamp(min=1e-12))


def test_what_has_no_map():
    flat = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
    with pytest.raises(UsageError, match='no gradient at a layer with places'):
        class_activation(flat, flat.modules(), torch.randn(1, 3, 2, 2), torch.tensor([0]))
    net = Net()
    with pytest.raises(UsageError, match='no gradient'):
        class_activation(lambda x: net(x).detach(), net.modules(), torch.randn(1, 3, 12, 12), torch.tensor([0]))
