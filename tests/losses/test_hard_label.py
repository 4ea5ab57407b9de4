"""Hard distillation against its definition."""

import math

import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.losses import HardLabelLoss, hard_label


@pytest.mark.parametrize('batch', [1, 3])
def test_value_and_gradient(batch):
    logits = torch.randn(batch, 4, dtype=torch.float64, requires_grad=True)
    target = torch.randn(batch, 4, dtype=torch.float64, requires_grad=True)
    HardLabelLoss(loss_weight=0.5)(logits, target).backward()
    value, gradient = 0.0, torch.zeros(batch, 4, dtype=torch.float64)
    for i in range(batch):
        row, label = logits[i].tolist(), max(range(4), key=target[i].tolist().__getitem__)
        total = sum(map(math.exp, row))
        value += 0.5 * (math.log(total) - row[label]) / batch
        for k in range(4):
            gradient[i, k] = 0.5 * (math.exp(row[k]) / total - (k == label)) / batch
    assert 0.5 * hard_label(logits, target).item() == pytest.approx(value, abs=1e-12)
    torch.testing.assert_close(logits.grad, gradient)
    assert target.grad is None


def test_other_classes_are_refused():
    with pytest.raises(UsageError, match='HardLabelLoss'):
        hard_label(torch.zeros(2, 3), torch.zeros(2, 4))
