"""The divergence of segmentors against its formula in float64: strides, ignored pixels, sigmoids, gradients."""

import numpy as np
import pytest
import torch

from shake_mm.losses import PixelKLLoss, pixel_kl

N, K = 2, 3


def enlarge(x, size, align):
    """Bilinear interpolation, written out."""
    height, width = x.shape[2:]
    result = np.zeros((*x.shape[:2], *size))

    def places(n, m):
        if align:
            return np.arange(m) * (n - 1) / max(m - 1, 1)
        return np.clip((np.arange(m) + 0.5) * n / m - 0.5, 0, None)

    for i, y in enumerate(places(height, size[0])):
        for j, z in enumerate(places(width, size[1])):
            y0, z0 = int(y), int(z)
            y1, z1 = min(y0 + 1, height - 1), min(z0 + 1, width - 1)
            v, w = y - y0, z - z0
            top = (1 - w) * x[:, :, y0, z0] + w * x[:, :, y0, z1]
            result[:, :, i, j] = (1 - v) * top + v * ((1 - w) * x[:, :, y1, z0] + w * x[:, :, y1, z1])
    return result


def divergence(a, b, tau, activation):
    """At one pixel."""
    if activation == 'softmax':
        p, q = (np.exp(x / tau) / np.exp(x / tau).sum() for x in (b, a))
        return tau**2 * (p * np.log(p / q)).sum()
    p, q = (1 / (1 + np.exp(-x / tau)) for x in (b, a))
    return tau**2 * (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).sum()


def expected(a, b, labels, tau, activation, align=False, ignore=255):
    size = tuple(max(pair) for pair in zip(a.shape[2:], b.shape[2:]))
    a, b = (enlarge(x.detach().numpy(), size, align) for x in (a, b))
    total = weights = 0.0
    for n in range(N):
        for i in range(size[0]):
            for j in range(size[1]):
                weight = 1.0
                if labels is not None:
                    rows, columns = (labels.shape[2 + d] // size[d] for d in range(2))
                    block = labels[n, 0, i * rows : (i + 1) * rows, j * columns : (j + 1) * columns]
                    weight = float((block != ignore).double().mean())
                total += weight * divergence(a[n, :, i, j], b[n, :, i, j], tau, activation)
                weights += weight
    return total / weights


def maps(*sizes):
    generator = torch.Generator().manual_seed(0)
    return [2 * torch.randn(N, K, *size, generator=generator, dtype=torch.float64) for size in sizes]


def marked(height, width):
    """Labels a third of which is ignored, unevenly."""
    labels = torch.randint(K, (N, 1, height, width), generator=torch.Generator().manual_seed(1))
    labels[0, :, : height // 2, : width // 2 + 1] = 255
    labels[1, :, 1::3] = 255
    return labels


@pytest.mark.parametrize('activation', ['softmax', 'sigmoid'])
@pytest.mark.parametrize('sizes', [((4, 6), (4, 6)), ((4, 6), (8, 6)), ((8, 6), (4, 3))], ids=str)
@pytest.mark.parametrize('align', [False, True])
def test_formula(sizes, activation, align):
    a, b = maps(*sizes)
    for labels in (None, marked(16, 24)):
        value = pixel_kl(a, b, labels, tau=2.0, activation=activation, align_corners=align)
        assert value.item() == pytest.approx(expected(a, b, labels, 2.0, activation, align), rel=1e-9)


@pytest.mark.parametrize('activation', ['softmax', 'sigmoid'])
def test_gradients(activation):
    a, b = maps((3, 2), (6, 4))
    a.requires_grad_()
    labels = marked(12, 8)
    assert torch.autograd.gradcheck(lambda x: pixel_kl(x, b, labels, activation=activation), a)


def test_what_is_ignored_does_not_count_and_gets_no_gradient():
    a, b = maps((4, 4), (4, 4))
    a.requires_grad_()
    labels = torch.zeros(N, 1, 8, 8, dtype=torch.long)
    labels[:, :, :4] = 255
    other = b.clone()
    other[:, :, :2] += 100
    value = pixel_kl(a, b, labels)
    assert torch.equal(value, pixel_kl(a, other, labels))
    value.backward()
    assert not a.grad[:, :, :2].any() and a.grad[:, :, 2:].abs().max() > 0
    torch.testing.assert_close(value, pixel_kl(a[:, :, 2:], b[:, :, 2:]))


def test_a_batch_without_a_valid_pixel_is_zero():
    a, b = maps((2, 2), (2, 2))
    a.requires_grad_()
    value = pixel_kl(a, b, torch.full((N, 1, 4, 4), 255))
    value.backward()
    assert value == 0 and not a.grad.any()


def test_it_asks_for_labels_where_pixels_are_ignored():
    assert PixelKLLoss().fields == ('gt_sem_seg',) and PixelKLLoss(ignore_index=None).fields == ()
    a, b = maps((2, 2), (2, 2))
    labels = torch.full((N, 1, 4, 4), 255)
    torch.testing.assert_close(PixelKLLoss(ignore_index=None)(a, b, labels), PixelKLLoss()(a, b))
