"""Cross-head predictions: the scale of features by its definition, and who learns through a foreign head."""

import pytest
import torch
from torch import nn

from shake_mm.connectors import CrossHead
from shake_mm.connectors.cross_head import align_scale
from shake_mm.errors import UsageError


class Behind(nn.Module):
    """Behind the two towers of a head: a convolution each, which belong to another network."""

    def __init__(self, channels):
        super().__init__()
        torch.manual_seed(4)
        self.__dict__['layers'] = [nn.Conv2d(channels, n, 1).requires_grad_(False) for n in (3, 4)]

    def forward(self, classes, boxes):
        """Logits and boxes by level."""
        on_meta = classes[0].is_meta
        layers = [nn.Conv2d(c.in_channels, c.out_channels, 1, device='meta') if on_meta else c for c in self.layers]
        return [[layer(level) for level in levels] for layer, levels in zip(layers, (classes, boxes))]


def levels(channels, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return [3 + 2 * torch.randn(2, channels, size, size + 1, generator=generator, dtype=dtype) for size in (4, 2)]


def test_a_channel_gets_the_mean_and_deviation_of_the_target_s():
    feature, target = levels(5, 1, torch.float64)[0].requires_grad_(), levels(5, 2, torch.float64)[0]
    found = align_scale(feature, target)
    for c in range(5):
        mine, its = feature[:, c], target[:, c]
        count = mine.numel()
        deviations = [(((x - x.sum() / count) ** 2).sum() / (count - 1)).sqrt() for x in (mine, its)]
        wanted = (mine - mine.sum() / count) / (deviations[0] + 1e-6) * deviations[1] + its.sum() / count
        torch.testing.assert_close(found[:, c], wanted)
        slopes = [torch.autograd.grad(x.square().sum(), feature, retain_graph=True)[0] for x in (found[:, c], wanted)]
        torch.testing.assert_close(*slopes, rtol=1e-6, atol=1e-8)


def test_the_only_value_of_a_channel_becomes_the_target_s():
    found = align_scale(torch.randn(1, 3, 1, 1), target := torch.randn(1, 3, 1, 1))
    torch.testing.assert_close(found, target)


@pytest.mark.parametrize('width', [5, 3])
def test_it_is_what_the_head_makes_of_the_aligned_features(width):
    """Through a convolution where the widths differ."""
    sides = [levels(width, 1), levels(width, 2), levels(5, 3), levels(5, 4)]
    behind = Behind(5)
    connector = CrossHead(behind, [[tuple(level.shape[1:]) for level in side] for side in sides])
    assert len(list(connector.parameters())) == (0 if width == 5 else 4)
    logits, boxes = connector(sides)
    for adapt, layer, mine, its, found in zip(connector.adapt, behind.layers, sides, sides[2:], (logits, boxes)):
        for level, target, one in zip(mine, its, found):
            torch.testing.assert_close(one, layer(align_scale(adapt(level), target)))


def test_taps_that_do_not_belong_together_are_refused():
    with pytest.raises(UsageError, match='four taps of as many levels: student.cls_tower'):
        CrossHead(Behind(5), [[(5, 4, 4)]] * 3)
    late = CrossHead(Behind(5), [[None]] * 4)  # of networks that do not run without data
    assert not list(late.parameters())
    with pytest.raises(UsageError, match=r'makes \(2, 3, 4, 5\) and of the teacher \(2, 5, 4, 5\)'):
        late([levels(3), levels(3), levels(5), levels(5)])
