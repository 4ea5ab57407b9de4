"""Every network of the CRD benchmark: layout, logits and features against plain formulas, tap points."""

import pytest
import torch

from ...support.crd_forward import forward
from ...support.crd_networks import LAYOUTS, build, build_with, random_state, record

# Channels and size of f0, f1, ... of a 32x32 image.
SHAPES = {
    'resnet20': [(16, 32), (16, 32), (32, 16), (64, 8)],
    'resnet8x4': [(32, 32), (64, 32), (128, 16), (256, 8)],
    'ResNet50': [(64, 32), (256, 32), (512, 16), (1024, 8), (2048, 4)],
    'wrn_16_1': [(16, 32), (16, 32), (32, 16), (64, 8)],
    'wrn_40_2': [(16, 32), (32, 32), (64, 16), (128, 8)],
    'vgg8': [(64, 32), (128, 16), (256, 8), (512, 4), (512, 4)],
    'vgg13': [(64, 32), (128, 16), (256, 8), (512, 4), (512, 4)],
    'MobileNetV2': [(16, 16), (12, 16), (16, 8), (48, 4), (160, 2)],
    'ShuffleV1': [(24, 32), (240, 16), (480, 8), (960, 4)],
    'ShuffleV2': [(24, 32), (116, 16), (232, 8), (464, 4)],
}


@pytest.mark.parametrize('arch', LAYOUTS)
def test_layout(arch):
    """Names, shapes and their order are the benchmark's; the classifier is mmpretrain's."""
    model, expected = build(arch), LAYOUTS[arch]
    assert sum(p.numel() for p in model.parameters()) == expected['params']
    ours = [(name, list(value.shape)) for name, value in model.backbone.state_dict().items()]
    assert ours == list(expected['keys'].items())[:-2]
    head = [list(value.shape) for value in model.head.state_dict().values()]
    assert head == list(expected['keys'].values())[-2:]


@pytest.mark.parametrize('arch', LAYOUTS)
@torch.no_grad()
def test_logits_and_features(arch):
    state = random_state(arch)
    model = build_with(arch, state)
    x = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    feats, last, logits = forward(arch, state, x)
    points = model.backbone.tap_points
    seen = record(model.backbone, set(points.values()))
    torch.testing.assert_close(model(x, mode='tensor'), logits, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(model.backbone(x), (last,), rtol=1e-12, atol=1e-12)
    assert points.keys() == feats.keys()
    for name, layer in points.items():
        torch.testing.assert_close(seen[layer][0][0], feats[name], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('arch', SHAPES)
def test_tap_points(arch):
    """In training: one call per layer, one update of each batch norm, nothing overwritten, the benchmark's shapes."""
    backbone = build(arch).backbone.train()
    points = backbone.tap_points
    stages = backbone.num_stages
    assert set(points) == {'f0'} | {f'f{i}{end}' for i in range(1, stages + 1) for end in ('', '.preact')}
    seen = record(backbone, set(points.values()))
    (last,) = backbone(torch.randn(2, 3, 32, 32))
    last.sum().backward()
    assert all(len(calls) == 1 for calls in seen.values())
    assert all(torch.equal(output, copy) for calls in seen.values() for output, copy in calls)
    for i, (channels, size) in enumerate(SHAPES[arch]):
        for name in {f'f{i}', f'f{i}.preact'} & points.keys():
            assert seen[points[name]][0][0].shape == (2, channels, size, size)
    updates = {int(value) for key, value in backbone.state_dict().items() if key.endswith('num_batches_tracked')}
    assert updates == {1}


@pytest.mark.parametrize('arch', ['resnet8', 'ResNet50', 'vgg8', 'ShuffleV1', 'ShuffleV2'])
@torch.no_grad()
def test_the_activation_is_all_that_lies_between_a_feature_and_its_preact(arch):
    backbone = build(arch).backbone
    seen = record(backbone, set(backbone.tap_points.values()))
    backbone(torch.randn(1, 3, 32, 32))
    taps = {name: seen[layer][0][0] for name, layer in backbone.tap_points.items()}
    for i in range(1, backbone.num_stages + 1):
        preact, feature = taps[f'f{i}.preact'], taps[f'f{i}']
        assert preact.min() < 0 <= feature.min()
        if arch == 'ShuffleV2':  # shuffled after it
            half = feature.shape[1] // 2
            feature = torch.cat([feature[:, ::2], feature[:, 1::2]], dim=1)
            assert torch.equal(preact[:, :half], feature[:, :half])
        assert torch.equal(preact.relu(), feature)


def test_gradients_of_shuffle_v2():
    """Its last ReLU covers the half that is left alone, too, which must change nothing."""
    state = random_state('ShuffleV2')
    model = build_with('ShuffleV2', state)
    state = {key: value.requires_grad_(value.is_floating_point()) for key, value in state.items()}
    x = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    forward('ShuffleV2', state, x)[2].square().sum().backward()
    model(x, mode='tensor').square().sum().backward()
    for name, parameter in model.backbone.named_parameters():
        torch.testing.assert_close(parameter.grad, state[name].grad, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(('size', 'last'), [(64, 4), (32, 4), (48, 6)])
@torch.no_grad()
def test_vgg_pools_once_more_at_64_pixels(size, last):
    state = random_state('vgg8')
    model = build_with('vgg8', state)
    x = torch.randn(1, 3, size, size, dtype=torch.float64)
    feats, _, logits = forward('vgg8', state, x)
    assert feats['f4'].shape[-2:] == (last, last)
    torch.testing.assert_close(model(x, mode='tensor'), logits, rtol=1e-12, atol=1e-12)
