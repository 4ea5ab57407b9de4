"""The cross-attention projector in float64, head by head; what a teacher goes on with."""

import pytest
import torch
from torch.nn import functional as F

from shake_mm.connectors import CrossAttentionProjector, TeacherStages
from shake_mm.errors import UsageError

MINE, ITS = (6, 4, 5), (8, 3, 2)


def draw(*shapes):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(3, *shape, generator=generator, dtype=torch.float64, requires_grad=True) for shape in shapes]


def linear(layer, rows):
    return rows @ layer.weight.T + layer.bias


def by_hand(module, feature, asking):
    """Image by image and head by head, norms by the batch's statistics."""
    conv, norm, _ = module.read
    seen = F.conv2d(feature, conv.weight, conv.bias, padding=1)
    mean, variance = seen.mean((0, 2, 3)), seen.var((0, 2, 3), correction=0)
    seen = (seen - mean[:, None, None]) / (variance[:, None, None] + norm.eps).sqrt()
    seen = (seen * norm.weight[:, None, None] + norm.bias[:, None, None]).clamp(min=0) + module.positions
    width, maps = ITS[0] // module.heads, []
    for image, asks in zip(seen, asking):
        places = image.flatten(1).T
        weight = module.ask[0].weight[:, :, 0, 0]
        queries = linear(module.query, (asks.flatten(1).T @ weight.T + module.ask[0].bias).clamp(min=0))
        keys, values, heads = linear(module.key, places), linear(module.value, places), []
        for h in range(module.heads):
            part = slice(h * width, (h + 1) * width)
            scores = 5 * queries[:, part] @ keys[:, part].T / width**0.5
            shares = scores.exp() / scores.exp().sum(1, keepdim=True)
            heads.append(shares @ values[:, part])
        rows = linear(module.merge, torch.cat(heads, dim=1))
        rows = (rows - rows.mean(1, keepdim=True)) / (rows.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
        rows = rows * module.norm.weight + module.norm.bias
        rows = rows + linear(module.mix[2], linear(module.mix[0], rows).clamp(min=0))
        maps.append(rows.T.reshape(ITS))
    return torch.stack(maps)


@pytest.mark.parametrize('asked', [False, True])
@pytest.mark.parametrize('head_channels', [4, 128])
def test_formula(asked, head_channels):
    torch.manual_seed(0)
    module = CrossAttentionProjector([MINE, ITS, *[ITS] * asked], head_channels).double().train()
    assert module.heads == (2 if head_channels == 4 else 1)
    for parameter in module.parameters():
        parameter.data.add_(0.3 * torch.randn_like(parameter))
    features = draw(MINE, ITS, *[ITS] * asked)
    asking = features[2] if asked else module.queries.expand(3, -1, -1, -1)
    values = module(features), by_hand(module, features[0], asking)
    torch.testing.assert_close(*values)
    weight = torch.randn_like(values[0])
    leaves = [features[0], *features[2:], *module.parameters()]
    slopes = [torch.autograd.grad((weight * value).sum(), leaves) for value in values]
    for one, other in zip(*slopes):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-9)
    assert (module.queries is None) == asked


def test_the_teacher_s_map_is_not_looked_at():
    module, features = CrossAttentionProjector([MINE, ITS]).double().eval(), draw(MINE, ITS)
    assert torch.equal(module(features), module([features[0], 0 * features[1]]))


def test_teacher_stages_go_on_from_the_map():
    level, other = draw(ITS, ITS)
    assert torch.equal(TeacherStages(lambda x: 2 * x, [ITS, ITS])([level, other]), 2 * level)


@pytest.mark.parametrize(
    ('build', 'words'),
    [
        (lambda: CrossAttentionProjector(MINE), 'must name maps of networks that run without data'),
        (lambda: CrossAttentionProjector([MINE, None]), 'must name maps'),
        (lambda: CrossAttentionProjector([(6,), ITS]), 'must name maps'),
        (lambda: CrossAttentionProjector([MINE, ITS, MINE]), r'asks is of shape \(6, 4, 5\) and the teacher'),
        (
            lambda: CrossAttentionProjector([MINE, ITS])(draw((6, 4, 4), ITS)),
            r'has positions for \(4, 5\): set',
        ),
        (lambda: TeacherStages(None, [ITS, MINE]), 'of one shape'),
        (lambda: TeacherStages(None, ITS), 'must name a map and the level of the teacher'),
    ],
)
def test_refused(build, words):
    with pytest.raises(UsageError, match=words):
        build()
