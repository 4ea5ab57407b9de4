"""The families of the benchmark beyond its own sizes: tiny networks, initialization, arguments that cannot work."""

import pytest
import torch
from torch import nn

from shake_mm.errors import UsageError
from shake_mm.models import (
    CRDVGG,
    CRDMobileNetV2,
    CRDResNetV2,
    CRDShuffleNetV1,
    CRDShuffleNetV2,
    CRDWideResNet,
    MobileNetV1,
)

from ...support.crd_networks import record

# A tiny network, the shapes of its stages for a 32x32 image, and that of its last output.
TINY = [
    (CRDResNetV2, dict(blocks=(1, 2), widths=(4, 2, 3)), [(8, 32), (12, 16)], (12, 16)),
    (CRDWideResNet, dict(depth=10, widen_factor=2, base_channels=3), [(6, 32), (12, 16), (24, 8)], (24, 8)),
    (CRDVGG, dict(depth=11, widths=(2, 3, 4, 5, 6)), [(3, 16), (4, 8), (5, 4), (6, 4)], (6, 4)),
    (CRDMobileNetV2, dict(widen_factor=0.125, last_channels=20), [(3, 16), (4, 8), (12, 4), (40, 2)], (20, 2)),
    (
        CRDShuffleNetV1,
        dict(widths=(16, 32, 64), blocks=(1, 2, 1), groups=2, stem_channels=8),
        [(16, 16), (32, 8), (64, 4)],
        (64, 4),
    ),
    (CRDShuffleNetV2, dict(widths=(8, 10, 12, 20), blocks=(1, 1, 2)), [(8, 16), (10, 8), (12, 4)], (20, 4)),
    (MobileNetV1, dict(widen_factor=0.125), [(16, 8), (32, 4), (64, 2), (128, 1)], (128, 1)),
]


@pytest.mark.parametrize(('family', 'kwargs', 'stages', 'last'), TINY, ids=lambda value: getattr(value, '__name__', ''))
def test_tiny_networks(family, kwargs, stages, last):
    net = family(**kwargs, out_indices=range(len(stages)))
    points = net.tap_points
    seen = record(net, set(points.values()))
    feats = net(torch.randn(2, 3, 32, 32))
    assert len(stages) == net.num_stages
    for i, (channels, size) in enumerate(stages, start=1):
        for name in (f'f{i}', f'f{i}.preact'):
            ((output, copy),) = seen[points[name]]
            assert output.shape == (2, channels, size, size) and torch.equal(output, copy)
        if i < len(stages):
            assert torch.equal(feats[i - 1], seen[points[f'f{i}']][0][0])
    assert feats[-1].shape == (2, last[0], last[1], last[1]) and feats[-1].min() >= 0
    sum(feat.sum() for feat in feats).backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


@pytest.mark.parametrize(
    'net', [CRDWideResNet(16, 2), CRDVGG(8), CRDMobileNetV2(), CRDResNetV2((1, 1), (64, 64, 128)), MobileNetV1()]
)
def test_initialization(net):
    """Normal with variance 2 / (k k channels out) and identity batch norms; biases zero."""
    for parameter in net.parameters():
        nn.init.constant_(parameter, 3.0)
    net.init_weights()
    checked = 0
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all() and (module.bias == 0).all()
        elif isinstance(module, nn.Conv2d):
            assert module.bias is None or (module.bias == 0).all()
            if module.weight.numel() > 4000:
                fan_out = module.out_channels * module.kernel_size[0] ** 2
                assert module.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.06)
                checked += 1
    assert checked


@pytest.mark.parametrize('family', [CRDShuffleNetV1, CRDShuffleNetV2])
def test_shuffle_nets_keep_the_initialization_of_torch(family):
    torch.manual_seed(3)
    net = family()
    before = [parameter.clone() for parameter in net.parameters()]
    net.init_weights()
    assert all(torch.equal(old, new) for old, new in zip(before, net.parameters()))
    bound = net.conv1.weight[0].numel() ** -0.5
    assert 0.8 * bound < net.conv1.weight.abs().max().item() <= bound


def test_wrn_20_8_is_a_bottleneck_network_of_twenty_layers():
    net = CRDResNetV2((2, 2, 2), (16, 16, 32, 64), widen_factor=8)
    shortcuts = [name for name, _ in net.named_modules() if name.endswith('shortcut.0')]
    layers = [name for name, module in net.named_modules() if isinstance(module, nn.Conv2d) and name not in shortcuts]
    assert len(layers) + 1 == 20 and len(shortcuts) == 3
    assert net.layer3[0].conv2.weight.shape == (512, 512, 3, 3)
    assert net(torch.rand(1, 3, 16, 16))[0].shape == (1, 256, 4, 4)


def test_mobilenet_v1_has_the_size_of_the_paper():
    """4.2 million parameters and 569 million multiplications, both with the classifier of 1,000 classes."""
    net, multiplications = MobileNetV1(), [1024 * 1000]

    def count(module, _, output):
        multiplications.append(output[0].numel() * module.weight[0].numel())

    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    net.eval()(torch.rand(1, 3, 224, 224))
    assert sum(parameter.numel() for parameter in net.parameters()) + 1025 * 1000 == 4231976
    assert round(sum(multiplications) / 1e6) == 569


@pytest.mark.parametrize(
    ('family', 'kwargs', 'word'),
    [
        (CRDResNetV2, dict(blocks=(1, 1)), 'one number more'),
        (CRDResNetV2, dict(blocks=(1, 0), widths=(4, 4, 4)), 'positive'),
        (CRDWideResNet, dict(depth=20, widen_factor=8), 'depth=20 of CRDWideResNet is not 6n'),
        (CRDWideResNet, dict(depth=4), 'depth=4'),
        (CRDVGG, dict(depth=12), 'depth=12'),
        (CRDVGG, dict(depth=8, widths=(1, 2)), 'five numbers'),
        (CRDMobileNetV2, dict(widen_factor=0.05), 'no channel'),
        (CRDShuffleNetV1, dict(widths=(240, 480)), 'three numbers'),
        (CRDShuffleNetV1, dict(blocks=(4, 0, 4)), 'every stage'),
        (CRDShuffleNetV1, dict(widths=(240, 480, 961)), 'multiples of 12'),
        (CRDShuffleNetV1, dict(widths=(240, 240, 480)), 'must grow'),
        (CRDShuffleNetV2, dict(widths=(7, 8, 9, 10)), 'even'),
        (CRDShuffleNetV2, dict(blocks=(1, 1)), 'three numbers'),
        (MobileNetV1, dict(widen_factor=0.01), 'no channel'),
        (MobileNetV1, dict(out_indices=(4,)), 'of MobileNetV1 must name stages from 0 to 3'),
    ],
)
def test_bad_arguments(family, kwargs, word):
    with pytest.raises(UsageError, match=word):
        family(**kwargs)
