import pytest
import torch
from torch import nn

from shake_mm.errors import UsageError
from shake_mm.models import CRDResNet


def test_outputs():
    net = CRDResNet(8, out_indices=(0, 1, 2))
    feats = net(torch.rand(2, 3, 32, 32))
    assert [tuple(feat.shape) for feat in feats] == [(2, 16, 32, 32), (2, 32, 16, 16), (2, 64, 8, 8)]
    (last,) = CRDResNet(8)(torch.rand(2, 3, 16, 16))
    assert last.shape == (2, 64, 4, 4)


@pytest.mark.parametrize('depth', [8, 14])
def test_taps_before_and_after_the_activation(depth):
    """Hooks see every stage before and after its ReLU, and nothing overwrites what they recorded."""
    net = CRDResNet(depth, out_indices=(0, 1, 2))
    seen, copies = {}, {}

    def record(name):
        def hook(_, __, output):
            seen[name], copies[name] = output, output.clone()

        return hook

    for name, module in net.named_modules():
        if name:
            module.register_forward_hook(record(name))
    feats = net(torch.randn(2, 3, 16, 16))
    for name, output in seen.items():
        if not name.endswith('relu') or name == 'relu':  # a block calls its ReLU more than once
            assert torch.equal(output, copies[name]), name
    for i, feat in enumerate(feats, start=1):
        preact = seen[f'layer{i}.preact']
        assert (preact < 0).any()
        assert seen[f'layer{i}'] is feat
        assert torch.equal(preact.relu(), feat)
        preact.sum().backward(retain_graph=True)


def test_initialization():
    torch.manual_seed(0)
    net = CRDResNet(8)
    net.init_weights()
    weight = net.layer3[0].conv2.weight
    assert weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all() and (module.bias == 0).all()


@pytest.mark.parametrize(
    ('kwargs', 'word'),
    [
        (dict(depth=18), 'depth=18'),
        (dict(depth=2), 'depth=2'),
        (dict(depth=8, widths=(16, 32, 64)), 'widths'),
        (dict(depth=8, out_indices=(3,)), 'out_indices'),
        (dict(depth=8, out_indices=()), 'out_indices'),
    ],
)
def test_bad_arguments(kwargs, word):
    with pytest.raises(UsageError, match=word):
        CRDResNet(**kwargs)
