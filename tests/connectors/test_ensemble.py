"""The mean of predictions, and ONE's gate, from their definitions."""

import pytest
import torch

from shake_mm.connectors import BranchGate, Ensemble
from shake_mm.errors import UsageError


def test_of_logits_and_of_predictions():
    a, b, c = torch.randn(3, 4, 6, dtype=torch.float64)
    torch.testing.assert_close(Ensemble()([a, b, c]), (a + b + c) / 3)
    soft = sum(torch.exp(z / 3) / torch.exp(z / 3).sum(1, keepdim=True) for z in (a, b, c)) / 3
    torch.testing.assert_close((Ensemble(tau=3.0)([a, b, c]) / 3).softmax(1), soft)
    with pytest.raises(UsageError, match='tau is 0'):
        Ensemble(tau=0.0)


def test_the_gate_weighs_sample_by_sample():
    torch.manual_seed(0)
    gate = BranchGate([(3, 4, 4), (5,), (5,), (5,)]).double().train()
    x, *logits = torch.randn(4, 3, 4, 4, dtype=torch.float64), *torch.randn(3, 4, 5, dtype=torch.float64)
    scores = x.sum((2, 3)) / 16 @ gate.fc.weight.T + gate.fc.bias
    scores = (scores - scores.mean(0)) / (scores.var(0, unbiased=False) + 1e-5).sqrt()
    weights = torch.exp(scores.clamp(min=0))
    weights = weights / weights.sum(1, keepdim=True)
    wanted = sum(weights[:, i : i + 1] * z for i, z in enumerate(logits))
    torch.testing.assert_close(gate([x, *logits]), wanted)
    with pytest.raises(UsageError, match='must list the shared map'):
        BranchGate([(5,), (5,)])
