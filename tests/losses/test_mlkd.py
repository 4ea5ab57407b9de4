"""The three levels of multi-level logit distillation, entry by entry."""

import pytest
import torch

from shake_mm.losses import MLKDLoss, batch_alignment, class_alignment, kl_div

from .compare import agree, pair


def soft(z, tau):
    return torch.exp(z / tau) / torch.exp(z / tau).sum(1, keepdim=True)


def between_samples(s, t, tau):
    p, q = soft(s, tau), soft(t, tau)
    return sum(((p[i] * p[j]).sum() - (q[i] * q[j]).sum()) ** 2 for i in range(len(p)) for j in range(len(p))) / len(p)


def between_classes(s, t, tau):
    p, q = soft(s, tau).T, soft(t, tau).T
    return sum(((p[i] * p[j]).sum() - (q[i] * q[j]).sum()) ** 2 for i in range(len(p)) for j in range(len(p))) / len(p)


@pytest.mark.parametrize('tau', [1.0, 4.0])
@pytest.mark.parametrize('shape', [(3, 5), (4, 2), (1, 3)])
@pytest.mark.parametrize(
    ('loss', 'reference'), [(batch_alignment, between_samples), (class_alignment, between_classes)]
)
def test_value_and_gradient(loss, reference, shape, tau):
    s, t = pair(shape, shape)
    agree(lambda x, y: loss(x, y, tau), lambda x, y: reference(x, y, tau), s, 3 * t)


@pytest.mark.parametrize(
    ('level', 'reference'), [('instance', kl_div), ('batch', between_samples), ('class', between_classes)]
)
def test_temperatures_are_summed(level, reference):
    s, t = pair((3, 4), (3, 4))
    agree(MLKDLoss(level), lambda x, y: sum(reference(x, y, float(tau)) for tau in range(2, 7)), s, t)
