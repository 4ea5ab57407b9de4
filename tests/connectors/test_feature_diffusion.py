"""DiffKD's parts in float64: the schedule, the steps, the networks layer by layer, and who learns of what."""

import pytest
import torch
from torch.nn import functional as F

from shake_mm.connectors import FeatureDiffusion, LinearAutoencoder
from shake_mm.connectors.feature_diffusion import ddim_step, kept_shares, noised
from shake_mm.errors import UsageError


def schedule():
    """The product of 1 - β, one by one."""
    shares, left = [], 1.0
    for t in range(1000):
        left *= 1 - (1e-4 + (0.02 - 1e-4) * t / 999)
        shares.append(left)
    return shares


def conv(layer, x):
    return F.conv2d(x, layer.weight, layer.bias, padding=(layer.weight.shape[-1] - 1) // 2)


def norm(layer, x):
    """By the mean and the biased variance of the batch."""
    mean = x.mean((0, 2, 3), keepdim=True)
    variance = ((x - mean) ** 2).mean((0, 2, 3), keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt() * layer.weight[:, None, None] + layer.bias[:, None, None]


def bottleneck(block, x):
    first, norm1, _, second, norm2, _, third, norm3 = block.layers
    out = norm(norm1, conv(first, x)).relu()
    return x + norm(norm3, conv(third, norm(norm2, conv(second, out)).relu()))


def predicted(module, x, times):
    x = x + module.time.weight[times][:, :, None, None]
    layers = module.predictor
    if not module.pointwise:
        return norm(layers[3], conv(layers[2], bottleneck(layers[1], bottleneck(layers[0], x))))
    first = norm(layers[4], conv(layers[3], norm(layers[1], conv(layers[0], x)).relu()))
    return conv(layers[8], norm(layers[6], conv(layers[5], first)).relu())


def by_hand(module, mine, its, steps):
    """With noise drawn in the order: the student's, the teacher's, times."""
    shares = schedule()
    x = conv(module.adapt, mine)
    inner, linear = module.noise_adapter[0], module.noise_adapter[3]
    if module.pointwise:
        a, b, c, d = inner[0], inner[1], inner[3], inner[4]
        seen = norm(d, conv(c, norm(b, conv(a, x)).relu()))
    else:
        seen = bottleneck(inner, x)
    scores = (seen.mean((2, 3)) @ linear.weight.T + linear.bias).exp()
    gamma = (scores[:, 0] / scores.sum(1))[:, None, None, None]
    x = gamma * x + (1 - gamma) * torch.randn_like(x)
    stride = 1000 // (2 * steps)
    for i in range(steps - 1, -1, -1):
        now, then = shares[i * stride], shares[(i - 1) * stride] if i else 1.0
        noise = predicted(module, x, torch.full((len(x),), i * stride))
        clean = (x - (1 - now) ** 0.5 * noise) / now**0.5
        x = then**0.5 * clean + (1 - then) ** 0.5 * noise
    noise = torch.randn_like(its)
    times = torch.randint(1000, (len(its),))
    kept = torch.tensor([shares[t] for t in times], dtype=its.dtype)[:, None, None, None]
    return conv(module.project, x), predicted(module, kept**0.5 * its + (1 - kept) ** 0.5 * noise, times), noise


def draw(*shapes):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(3, *shape, generator=generator, dtype=torch.float64, requires_grad=True) for shape in shapes]


def test_the_schedule_and_a_step():
    torch.testing.assert_close(kept_shares(), torch.tensor(schedule(), dtype=torch.float64), rtol=1e-9, atol=0)
    (x, noise), kept = draw((4, 2, 2), (4, 2, 2)), torch.tensor([0.9, 0.5, 0.1], dtype=torch.float64)
    for one, other, share, found in zip(x, noise, kept, noised(x, noise, kept)):
        torch.testing.assert_close(found, share**0.5 * one + (1 - share) ** 0.5 * other)
    torch.testing.assert_close(ddim_step(noised(x, noise, kept[:1].expand(3)), noise, 0.9, 1.0), x)  # noise known
    later = ddim_step(noised(x, noise, kept[2:].expand(3)), noise, 0.1, 0.5)
    torch.testing.assert_close(later, noised(x, noise, kept[1:2].expand(3)))


@pytest.mark.parametrize('shapes', [((6, 4, 3), (8, 4, 3)), ((6,), (5,))], ids=['maps', 'vectors'])
@pytest.mark.parametrize('steps', [5, 2])
def test_all_of_it(shapes, steps):
    torch.manual_seed(0)
    module = FeatureDiffusion(list(shapes), steps).double().train()
    module.kept = kept_shares()
    for parameter in module.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    features = draw(*shapes)
    maps = [x[..., None, None] if x.dim() == 2 else x for x in features]
    torch.manual_seed(7)
    found = module(features)
    torch.manual_seed(7)
    wanted = [x.flatten(1) if module.pointwise else x for x in by_hand(module, *maps, steps)]
    for one, other in zip(found, wanted):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    weights = [torch.randn_like(x) for x in found]
    leaves = [features[0], *module.parameters()]
    slopes = [
        torch.autograd.grad(sum((w * x).sum() for w, x in zip(weights, side[:2])), leaves) for side in (found, wanted)
    ]
    for one, other in zip(*slopes):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * other.abs().max().item() + 1e-8)


def test_the_teacher_s_feature_teaches_the_predictor_alone():
    torch.manual_seed(0)
    module, features = FeatureDiffusion([(6, 4, 4), (8, 4, 4)]).double(), draw((6, 4, 4), (8, 4, 4))
    clean, guess, noise = module(features)
    (guess - noise).square().mean().backward()
    moved = {name.split('.')[0] for name, p in module.named_parameters() if p.grad is not None}
    assert moved == {'time', 'predictor'} and all(x.grad is None for x in features)
    clean.square().sum().backward()
    assert features[0].grad.abs().max() > 0 and features[1].grad is None


def test_the_autoencoder():
    torch.manual_seed(0)
    module, (feature,) = LinearAutoencoder(6).double(), draw((6, 3, 2))
    latent, again = module(feature)
    wanted = norm(module.encoder[1], conv(module.encoder[0], feature))
    torch.testing.assert_close(latent, wanted)
    torch.testing.assert_close(again, conv(module.decoder, wanted))
    assert latent.shape == (3, 3, 3, 2) and LinearAutoencoder(6, 4)(feature.float())[0].shape[1] == 4


@pytest.mark.parametrize(
    ('build', 'words'),
    [
        (lambda: FeatureDiffusion((6, 4, 4)), 'must name two maps, or two vectors'),
        (lambda: FeatureDiffusion([(6, 4, 4), (8,)]), r'`source` makes \[\(6, 4, 4\), \(8,\)\]'),
        (lambda: FeatureDiffusion([(6, 4, 4), None]), 'that run without data'),
        (lambda: FeatureDiffusion([(6,), (8,)], steps=0), 'FeatureDiffusion: steps is 0'),
        (lambda: FeatureDiffusion([(6,), (8,)])([torch.rand(1, 6), torch.rand(1, 8)]), 'drop_last=True'),
    ],
)
def test_refused(build, words):
    with pytest.raises(UsageError, match=words):
        build()
