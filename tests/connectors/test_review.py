"""ReviewFusion against a functional float64 version of its formula that reads the module's weights."""

import pytest
import torch
from torch.nn import functional as F

from shake_mm.connectors import ReviewFusion
from shake_mm.errors import UsageError
from shake_mm.losses import HCLLoss
from shake_mm.registry import MODELS

CASES = {
    'equal sizes': ([(4, 8, 8), (6, 4, 4), (7, 2, 2), (7,)], [(3, 8, 8), (5, 4, 4), (9, 2, 2), (9,)]),
    'teacher twice as large': ([(6, 4, 4), (5, 2, 2), (8, 1, 1), (8,)], [(3, 8, 8), (5, 4, 4), (9, 2, 2), (9,)]),
    'student twice as large': ([(4, 8, 8), (6, 4, 4), (7,)], [(3, 4, 4), (5, 2, 2), (9, 1, 1)]),
    'four stages': (
        [(2, 16, 16), (3, 8, 8), (4, 4, 4), (6, 2, 2), (10,)],
        [(3, 16, 16), (5, 8, 8), (7, 4, 4), (7, 4, 4), (7,)],
    ),
    'odd and oblong': ([(3, 9, 5), (4, 5, 3), (6, 1, 1)], [(5, 9, 5), (2, 7, 2), (4,)]),
    'one level': ([(3, 4, 4)], [(5, 4, 4)]),
}
every_case = pytest.mark.parametrize(('in_shape', 'out_shape'), CASES.values(), ids=CASES)


def nearest(x, size):
    """Position i of the result is position floor(i * old / new)."""
    rows, columns = (torch.arange(new) * old // new for new, old in zip(size, x.shape[2:]))
    return x[:, :, rows][:, :, :, columns]


def reference(weights, features, out_shape, training):
    """From the deepest level to the shallowest."""

    def norm(x, name):
        if training:
            mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
        else:
            mean, variance = weights[f'{name}.running_mean'], weights[f'{name}.running_var']
        mean, variance, scale, shift = (
            v.view(-1, 1, 1) for v in (mean, variance, weights[f'{name}.weight'], weights[f'{name}.bias'])
        )
        return scale * (x - mean) / (variance + 1e-5).sqrt() + shift

    results, residual = {}, None
    for i in reversed(range(len(features))):
        x = features[i].reshape(*features[i].shape[:2], *(features[i].shape[2:] or (1, 1)))
        x = norm(F.conv2d(x, weights[f'levels.{i}.conv1.weight']), f'levels.{i}.bn1')
        if residual is not None:
            residual = nearest(residual, x.shape[2:])
            kernel, bias = weights[f'levels.{i}.attention.weight'], weights[f'levels.{i}.attention.bias']
            a, b = torch.sigmoid(F.conv2d(torch.cat([x, residual], 1), kernel, bias)).unbind(1)
            x = x * a.unsqueeze(1) + residual * b.unsqueeze(1)
        residual = nearest(x, out_shape[i][1:] or (1, 1))
        y = norm(F.conv2d(residual, weights[f'levels.{i}.conv2.weight'], padding=1), f'levels.{i}.bn2')
        results[i] = y.reshape(-1, *out_shape[i])
    return [results[i] for i in range(len(features))]


def build(in_shape, out_shape, batch, training):
    """A float64 fusion with non-trivial batch norms, and its inputs."""
    fusion = ReviewFusion(in_shape, out_shape).double().train(training)
    for name, value in fusion.state_dict().items():
        if '.bn' in name and value.is_floating_point():
            value.copy_(torch.rand_like(value) + 0.5)
    return fusion, [torch.randn(batch, *shape, dtype=torch.float64, requires_grad=True) for shape in in_shape]


@every_case
@pytest.mark.parametrize(('batch', 'training'), [(3, True), (3, False), (1, False)])
def test_value_and_gradients(in_shape, out_shape, batch, training):
    fusion, features = build(in_shape, out_shape, batch, training)
    weights = {name: value.clone() for name, value in fusion.state_dict().items()}
    parameters = dict(fusion.named_parameters())
    for name in parameters:
        weights[name].requires_grad_()
    results, expected = fusion(features), reference(weights, features, out_shape, training)
    assert [y.shape for y in results] == [(batch, *shape) for shape in out_shape]
    for found, wanted in zip(results, expected):
        torch.testing.assert_close(found, wanted)
    probes = [torch.randn_like(y) for y in results]
    found, wanted = (sum((p * y).sum() for p, y in zip(probes, ys)) for ys in (results, expected))
    found = torch.autograd.grad(found, [*features, *parameters.values()])
    wanted = torch.autograd.grad(wanted, [*features, *(weights[name] for name in parameters)])
    for one, other in zip(found, wanted):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9)


def test_a_level_sees_itself_and_the_deeper_ones():
    fusion, features = build(*CASES['four stages'], 2, False)
    for i, y in enumerate(fusion(features)):
        gradients = torch.autograd.grad(y.square().sum(), features, retain_graph=True, allow_unused=True)
        assert [g is not None and bool(g.abs().max() > 0) for g in gradients] == [j >= i for j in range(5)]


def test_layers_and_their_initialization():
    fusion = ReviewFusion([(64, 8, 8), (128, 4, 4), (200,)], [(32, 8, 8), (96, 4, 4), (96,)])
    for level, c_in, c_out in zip(fusion.levels, (64, 128, 200), (32, 96, 96)):
        assert level.conv1.weight.shape == (200, c_in, 1, 1) and level.conv2.weight.shape == (c_out, 200, 3, 3)
        assert level.conv1.bias is None and level.conv2.bias is None
        for weight in (level.conv1.weight, level.conv2.weight):  # uniform, of gain 1
            bound = (3 / weight[0].numel()) ** 0.5
            assert 0.98 * bound < weight.abs().max() <= bound
            assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
    assert [level.attention is not None for level in fusion.levels] == [True, True, False]
    assert fusion.levels[0].attention.weight.shape == (2, 400, 1, 1)
    assert MODELS.get('shake_mm.ReviewFusion') is ReviewFusion


@pytest.mark.parametrize(('deepest', 'given', 'mid'), [(40, None, 40), (600, None, 512), (600, 16, 16)])
def test_mid_channels(deepest, given, mid):
    fusion = ReviewFusion([(3, 2, 2), (deepest,)], [(3, 2, 2), (5,)], given)
    assert all(level.conv1.out_channels == mid for level in fusion.levels)


def test_other_sizes_than_it_was_built_for():
    in_shape, out_shape = [(3, 8, 8), (4, 4, 4), (5, 4, 4), (6,)], [(4, 8, 8), (5, 8, 8), (6, 2, 2), (6,)]
    fusion, _ = build(in_shape, out_shape, 1, False)
    features = [torch.randn(2, *shape, dtype=torch.float64) for shape in [(3, 13, 9), (4, 7, 5), (5, 7, 5), (6,)]]
    sizes = [(4, 13, 9), (5, 14, 10), (6, 4, 3), (6,)]
    for found, wanted in zip(fusion(features), reference(fusion.state_dict(), features, sizes, False)):
        torch.testing.assert_close(found, wanted)


PYRAMIDS = {
    'ceil': [(3, 100, 167), (3, 50, 84), (3, 25, 42), (3, 13, 21), (3, 7, 11)],
    'floor': [(3, 25, 42), (3, 13, 21), (3, 6, 10), (3, 3, 5), (3, 1, 2)],
    'upright': [(3, 19, 10), (3, 10, 5), (3, 5, 3), (3, 3, 2), (3, 2, 1)],
}
"""Levels of a detector's FPN: oblong, odd, no exact halves of each other."""


@pytest.mark.parametrize('built', PYRAMIDS)
@pytest.mark.parametrize('given', PYRAMIDS)
def test_levels_of_a_pyramid(built, given):
    """A detector's images have any size, a batch has another one each time."""
    fusion, _ = build(PYRAMIDS[built], PYRAMIDS[built], 1, True)
    features = [torch.randn(2, *shape, dtype=torch.float64) for shape in PYRAMIDS[given]]
    results = fusion(features)
    assert [y.shape for y in results] == [x.shape for x in features]
    for found, wanted in zip(results, reference(fusion.state_dict(), features, PYRAMIDS[given], True)):
        torch.testing.assert_close(found, wanted)
    loss = HCLLoss()(results, features)
    loss.backward()
    assert loss > 0 and all(p.grad.isfinite().all() and p.grad.abs().max() > 0 for p in fusion.parameters())


def test_equal_sizes_at_build_keep_the_size_of_every_image():
    """Exactly, however a level is rounded: no image resizes a level of a teacher with the student's strides."""
    built = [(1, 25, 42), (1, 13, 21), (1, 7, 11)]
    fusion = ReviewFusion(built, built, mid_channels=1).to('meta').eval()
    for height in range(1, 140):
        sizes = [(2, 1, height, 2 * height + 1), (2, 1, -(-height // 2), height), (2, 1, height // 4 + 1, 3)]
        results = fusion([torch.empty(size, device='meta') for size in sizes])
        assert [tuple(y.shape) for y in results] == sizes


WRONG = [
    ((16, 8, 8), (16, 8, 8)),
    ([(16, 8, 8)], (16, 8, 8)),
    ([(16, 8, 8), (16,)], [(16, 8, 8)]),
    ([(16, 8)], [(16, 8)]),
    ([None], [None]),
    ([], []),
]


@pytest.mark.parametrize(('in_shape', 'out_shape'), WRONG)
def test_needs_levels_on_both_sides(in_shape, out_shape):
    with pytest.raises(UsageError, match='as many taps in `of` as in `to`') as info:
        ReviewFusion(in_shape, out_shape)
    assert f'in_shape is {in_shape} and out_shape {out_shape}' in str(info.value)


def test_needs_the_levels_it_was_built_for():
    fusion = ReviewFusion([(3, 2, 2), (4,)], [(3, 2, 2), (5,)])
    with pytest.raises(UsageError, match='1 features came in, but it was built for 2 levels'):
        fusion([torch.zeros(2, 3, 2, 2)])
