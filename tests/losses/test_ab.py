"""ABLoss against its formula."""

import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.losses import ABLoss, activation_boundary

from .compare import agree, pair


@pytest.mark.parametrize('margin', [1.0, 0.4])
@pytest.mark.parametrize('shape', [(2, 3, 4, 4), (1, 9)])
def test_value_and_gradient(shape, margin):
    def reference(s, t):
        total = 0.0
        for a, b in zip(s.reshape(-1), t.reshape(-1)):
            if b <= 0 and a > -margin:
                total = total + (a + margin) ** 2
            elif b > 0 and a <= margin:
                total = total + (a - margin) ** 2
        return total / len(s) / 1000 * 3

    s, t = pair(shape, shape)
    s.data.mul_(2)
    agree(lambda a, b: activation_boundary(a, b, margin), reference, s, t)


def test_zero_beyond_the_margin_on_the_right_side():
    t = torch.tensor([[1e-3, -1e-3, 0.0]])
    s = torch.tensor([[1.5, -1.5, -1.0]], requires_grad=True)
    loss = ABLoss()(s, t)
    loss.backward()
    assert loss == 0 and (s.grad == 0).all()
    assert ABLoss(margin=2.0)(s, t) > 0


def test_a_target_of_zero_counts_as_inactive():
    assert activation_boundary(torch.tensor([[-1.0]]), torch.zeros(1, 1)) == 0
    assert activation_boundary(torch.tensor([[1.0]]), torch.zeros(1, 1)).item() == pytest.approx(4 * 3 / 1000)


def test_shapes_must_agree():
    with pytest.raises(UsageError, match=r'ABLoss.*\(2, 3, 8, 8\) .* \(2, 3, 4, 4\).*connector'):
        ABLoss()(torch.zeros(2, 3, 8, 8), torch.zeros(2, 3, 4, 4))
