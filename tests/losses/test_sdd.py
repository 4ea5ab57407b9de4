"""SDDLoss region by region."""

import pytest
import torch

from shake_mm.losses import SDDLoss, kl_div, scale_decoupled

from .compare import agree, pair


def reference(s, t, tau, beta):
    total = 0.0
    for n in range(len(s)):
        for r in range(s.shape[1]):
            p, q = ((z[n, r] / tau).exp() / (z[n, r] / tau).exp().sum() for z in (t, s))
            other = t[n, r].argmax() != t[n, 0].argmax()
            total = total + (beta if other else 1.0) * (p * (p / q).log()).sum()
    return tau**2 * total / len(s)


@pytest.mark.parametrize(('tau', 'beta'), [(4.0, 2.0), (1.0, 0.5)])
def test_value_and_gradient(tau, beta):
    s, t = pair((3, 5, 4), (3, 5, 4))
    decided = t.argmax(2)
    assert 0 < (decided == decided[:, :1]).sum() - 3 < 12  # both kinds of regions
    agree(lambda x, y: scale_decoupled(x, y, tau, beta), lambda x, y: reference(x, y, tau, beta), s, t)


def test_of_the_whole_image_alone_it_is_kd():
    s, t = pair((3, 5), (3, 5))
    torch.testing.assert_close(scale_decoupled(s[:, None], t[:, None]), kl_div(s, t))


def released(s, t, labels, tau=4.0):
    """Four kinds of regions, as the authors' code tells them apart: image and region right, wrong, or one of each."""
    total, seen = 0.0, set()
    for n, label in enumerate(labels.tolist()):
        for r in range(s.shape[1]):
            p, q = ((z[n, r] / tau).exp() / (z[n, r] / tau).exp().sum() for z in (t, s))
            right = (t[n, 0].argmax() == label).item(), (t[n, r].argmax() == label).item()
            seen.add(right)
            total = total + (1.0 if right[0] == right[1] else 2.0) * (p * (p / q).log()).sum()
    return tau**2 * total / len(s), seen


def test_by_labels():
    s, t = pair((6, 5, 3), (6, 5, 3))
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    assert len(released(s, t, labels)[1]) == 4
    loss = SDDLoss(by='labels')
    assert loss.fields == ('gt_labels',) and SDDLoss().fields == ()
    agree(lambda x, y: loss(x, y, labels), lambda x, y: released(x, y, labels)[0], s, t)
    assert not torch.isclose(loss(s, t, labels), SDDLoss()(s, t))
