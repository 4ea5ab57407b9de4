import hashlib

import pytest
import torch
from torch import nn

from shake_mm.errors import UsageError
from shake_mm.models import CRDResNet

WIDE = (32, 64, 128, 256)

# depth, widths, parameters with the linear classifier of 100 classes, digest of the benchmark's names and shapes.
BENCHMARK = {
    'resnet8': (8, (16, 16, 32, 64), 83892, '6e905d91fab00a5d'),
    'resnet14': (14, (16, 16, 32, 64), 181108, 'a29691e8baa1e444'),
    'resnet20': (20, (16, 16, 32, 64), 278324, 'f772f41918f0b8d1'),
    'resnet32': (32, (16, 16, 32, 64), 472756, 'f4d1a773ccd28c0e'),
    'resnet44': (44, (16, 16, 32, 64), 667188, 'd38bc9c585db50dd'),
    'resnet56': (56, (16, 16, 32, 64), 861620, '790e81737f67e8d8'),
    'resnet110': (110, (16, 16, 32, 64), 1736564, '0780e910d93c473c'),
    'resnet8x4': (8, WIDE, 1233540, '71e42bbae9a5b251'),
    'resnet32x4': (32, WIDE, 7433860, '1444731ada2bc494'),
}


def layout_digest(net: nn.Module) -> str:
    """Digest the state dict's names and shapes, in order."""
    lines = [f'{name} {tuple(value.shape)}' for name, value in net.state_dict().items()]
    return hashlib.md5('\n'.join(lines).encode()).hexdigest()[:16]


@pytest.mark.parametrize('name', BENCHMARK)
def test_layout_is_the_benchmarks(name):
    depth, widths, num_params, digest = BENCHMARK[name]
    net = CRDResNet(depth, widths)
    classifier = 100 * widths[-1] + 100
    assert sum(p.numel() for p in net.parameters()) + classifier == num_params
    assert layout_digest(net) == digest


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


def test_forward_is_a_plain_resnet():
    """The stage-wise forward equals the textbook form written out by hand."""
    net = CRDResNet(14).eval()
    x = torch.rand(2, 3, 16, 16)
    out = torch.relu(net.bn1(net.conv1(x)))
    for stage in (net.layer1, net.layer2, net.layer3):
        for block in (stage[0], stage[1]):
            shortcut = out if block.downsample is None else block.downsample(out)
            out = torch.relu(block.bn1(block.conv1(out)))
            out = torch.relu(block.bn2(block.conv2(out)) + shortcut)
    torch.testing.assert_close(net(x)[0], out)


def test_initialisation():
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
