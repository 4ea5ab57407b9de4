"""CRDLoss of a set that is too large for one product with its memory: the same loss by gathered rows."""

import pytest
import torch
from torch.nn import functional as F

from benchmarks.memory import peak_bytes
from shake_mm.losses import CRDLoss, crd

from .test_crd import DIM, SAMPLES, Reference, inputs, step


@pytest.fixture
def gathers(monkeypatch):
    """Let small sets be large ones, of which two samples of a batch are gathered at a time."""
    monkeypatch.setattr(crd, 'WHOLE', 0)
    monkeypatch.setattr(crd, 'GATHERED', 2 * DIM * 8 + 1)


def test_three_steps_follow_the_benchmark(gathers):
    loss = CRDLoss(SAMPLES, dim=DIM).double()
    reference = Reference(loss)
    for seed in range(3):
        batch = inputs(seed)
        wanted = reference(*batch)
        wanted_gradients = torch.autograd.grad(wanted, batch[:2])
        value, *gradients = step(loss, *batch)
        torch.testing.assert_close(value, wanted, rtol=1e-10, atol=0)
        for found, gradient in zip(gradients, wanted_gradients):
            torch.testing.assert_close(found, gradient, rtol=1e-8, atol=1e-12)
    for name, memory in reference.memory.items():
        torch.testing.assert_close(getattr(loss, f'memory_{name}'), memory, rtol=1e-12, atol=0)


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
def test_both_ways_are_one_loss(monkeypatch, dtype):
    """Values, gradients, memories and Z over steps, also where a sample is twice in a batch."""
    results = []
    for whole in (10**6, 0):
        monkeypatch.setattr(crd, 'WHOLE', whole)
        monkeypatch.setattr(crd, 'GATHERED', 3 * DIM * 8)
        loss, found = CRDLoss(SAMPLES, dim=DIM).to(dtype), []
        for seed in range(3):
            student, teacher, idx, own = inputs(seed, dtype=dtype)
            own[1] = own[0]
            found += step(loss, student, teacher, idx, own)
        results.append([*found, loss.memory_student, loss.memory_teacher, loss.mean_score])
    for one, other in zip(*results):
        torch.testing.assert_close(one, other, rtol=1e-5 if dtype == torch.float32 else 1e-12, atol=1e-6)


def test_evaluation_and_a_weight(gathers):
    loss, batch = CRDLoss(SAMPLES, dim=DIM, loss_weight=0.8).double(), inputs()
    whole = loss(*batch)
    loss.eval()
    with torch.no_grad():
        value = loss(*batch)
    assert not value.requires_grad and value.isfinite()
    whole.backward(torch.tensor(2.0, dtype=torch.float64))
    assert all(side.grad.abs().max() > 0 for side in batch[:2])


def test_what_a_step_needs_does_not_grow_with_the_set(monkeypatch):
    """Beside the two memories, whose bytes are the state's."""
    monkeypatch.setattr(crd, 'GATHERED', 4 * 33 * 16)
    peaks = {}
    for whole in (10**6, 0):
        monkeypatch.setattr(crd, 'WHOLE', whole)
        for n in (2000, 8000):
            loss = CRDLoss(n, dim=16)
            assert sum(b.numel() * b.element_size() for b in loss.buffers()) == 2 * n * 16 * 4 + 8
            g = torch.Generator().manual_seed(0)
            student, teacher = (F.normalize(torch.randn(8, 16, generator=g)).requires_grad_() for _ in range(2))
            own = torch.arange(8)
            index = torch.randint(n, (8, 33), generator=g)
            peaks[whole, n] = peak_bytes(lambda: loss(student, teacher, index, own).backward(), 'cpu')  # noqa: B023
    assert peaks[0, 2000] == peaks[0, 8000] < peaks[10**6, 2000] / 4 < peaks[10**6, 8000] / 12
