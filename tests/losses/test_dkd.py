"""DKDLoss against the definition by probabilities."""

import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.losses import DKDLoss, decoupled_kd, kl_div

from .compare import agree, pair


def probabilities(z, label, tau):
    """(label, rest) and the rest among themselves."""
    e = [torch.exp(value / tau) for value in z]
    others = [value for k, value in enumerate(e) if k != label]
    return (e[label] / sum(e), sum(others) / sum(e)), [value / sum(others) for value in others]


def reference(s, t, labels, alpha, beta, tau):
    total = 0.0
    for a, b, label in zip(s, t, labels.tolist()):
        (q_label, q_rest), (p_label, p_rest) = probabilities(a, label, tau), probabilities(b, label, tau)
        for weight, p, q in ((alpha, p_label, q_label), (beta, p_rest, q_rest)):
            total = total + weight * sum(x * torch.log(x / y) for x, y in zip(p, q))
    return tau**2 * total / len(s)


@pytest.mark.parametrize(('alpha', 'beta', 'tau'), [(1.0, 8.0, 4.0), (1.0, 0.0, 1.0), (0.0, 1.0, 2.0), (0.5, 2.0, 0.5)])
@pytest.mark.parametrize(('shape', 'labels'), [((3, 5), [0, 4, 2]), ((1, 3), [1]), ((2, 2), [1, 0])])
def test_value_and_gradient(shape, labels, alpha, beta, tau):
    labels = torch.tensor(labels)
    arguments = labels, alpha, beta, tau
    agree(lambda s, t: decoupled_kd(s, t, *arguments), lambda s, t: reference(s, t, *arguments), *pair(shape, shape))


def test_is_kd_where_beta_is_the_teachers_doubt():
    """KL = TCKD + (1 - p_label) NCKD, which the paper starts from."""
    s, t = pair((1, 6), (1, 6))
    label = torch.tensor([2])
    doubt = 1 - torch.softmax(t / 4, 1)[0, 2].item()
    torch.testing.assert_close(decoupled_kd(s, t, label, 1.0, doubt, 4.0), kl_div(s, t, 4.0))


@pytest.mark.parametrize('dtype', [torch.float16, torch.float32])
@pytest.mark.parametrize('sign', [1, -1])
def test_a_saturated_student_or_teacher_has_a_finite_loss(sign, dtype):
    extreme = torch.tensor([[3e4, 0.0, -3e4]], dtype=dtype)
    for s, t in ((sign * extreme, torch.zeros_like(extreme)), (torch.zeros_like(extreme), sign * extreme)):
        s.requires_grad_()
        loss = decoupled_kd(s, t, torch.tensor([0]))
        loss.backward()
        assert loss.isfinite() and loss > 0 and s.grad.isfinite().all() and s.grad.abs().max() > 0


def test_errors():
    labels = torch.tensor([0, 1])
    with pytest.raises(UsageError, match='same number of classes'):
        DKDLoss()(torch.zeros(2, 3), torch.zeros(2, 4), labels)
    with pytest.raises(UsageError, match=r'gt_labels \(1,\)'):
        DKDLoss()(torch.zeros(2, 3), torch.zeros(2, 3), labels[:1])
    with pytest.raises(UsageError, match='at least two classes'):
        DKDLoss()(torch.zeros(2, 1), torch.zeros(2, 1), labels)
    for tau in (0, -1.0, float('nan')):
        with pytest.raises(UsageError, match='temperature'):
            DKDLoss(tau=tau)
