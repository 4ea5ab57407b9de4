"""The comparison of NST and RKD with their usual form, at a small size."""

import pytest
import torch

from benchmarks import compare_losses, loss_cost
from shake_mm.errors import UsageError


def test_tiny(capsys):
    assert compare_losses.main(['--batch-size', '4', '--channels', '8', '--size', '2', '--rounds', '1']) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if 'NST' in line or 'RKD' in line]
    assert ['8 x 2 x 2' in line for line in lines] == [True, False, True]


@pytest.mark.parametrize(('loss', 'shape'), [('NST', (4, 8, 2, 2)), ('RKD', (6, 5)), ('RKD', (4, 3, 2, 2))])
def test_both_forms_compute_the_same(loss, shape):
    feature, target = (
        torch.randn(shape, dtype=torch.float64, requires_grad=True),
        torch.randn(shape, dtype=torch.float64),
    )
    values = [function(feature, target) for function in loss_cost.LOSSES[loss].values()]
    gradients = [torch.autograd.grad(value, feature)[0] for value in values]
    torch.testing.assert_close(*values)
    torch.testing.assert_close(*gradients)


def test_memory_is_that_of_the_step():
    """The usual form holds at least the product of all pairs of channels: 16 x 64 x 64 x 64 float32 are 16 MiB."""
    ours, naive = (loss_cost.cost_of('NST', form, (16, 64, 8, 8), rounds=1) for form in ('ours', 'naive'))
    assert naive.mebibytes > 16 > ours.mebibytes >= 0
    assert min(ours.seconds, naive.seconds) > 0


def test_a_killed_process_is_told(monkeypatch):
    def broken(*_):
        raise loss_cost.BrokenProcessPool

    monkeypatch.setattr(loss_cost.ProcessPoolExecutor, 'submit', broken)
    with pytest.raises(UsageError, match='NST .naive. was killed'):
        loss_cost.cost_of('NST', 'naive', (2, 2, 2, 2))


def test_ratios():
    row = compare_losses.row
    costs = loss_cost.Cost(0.002, 10.0), loss_cost.Cost(0.008, 25.0)
    assert row(*costs) == ['2.00', '8.00', '4.0', '10.0', '25.0', '2.5']
    assert row(loss_cost.Cost(0.002, 0.0), costs[1])[-1] == '-'
