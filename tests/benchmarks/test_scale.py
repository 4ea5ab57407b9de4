"""The figures of docs/scale.md: counted on what the code keeps, and equal to what the page says."""

from pathlib import Path

import pytest

from benchmarks import scale
from shake_mm.losses import CRDLoss

PAGE = (Path(__file__).resolve().parents[2] / 'docs' / 'scale.md').read_text()


def test_a_ring_sends_almost_twice_the_gradients():
    assert scale.ring_bytes(1000, 1) == 0
    assert scale.ring_bytes(1000, 2) == 4000
    assert scale.ring_bytes(1000, 1024) == pytest.approx(8000, rel=1e-3)


def test_memories_are_those_of_the_loss():
    loss = CRDLoss(1000, dim=128)
    kept = sum(b.numel() * b.element_size() for name, b in loss.named_buffers() if name.startswith('memory'))
    assert scale.crd_state_bytes(1000) == kept == 1_024_000
    assert scale.crd_step_bytes(500_000) == 2 * 500_000 * 128 * 4
    assert scale.crd_step_bytes(500_001) == scale.crd_step_bytes(10**9) == 4 * 64 * 16385 * 128 * 4


def test_the_page_is_what_is_counted(capsys):
    assert scale.main([]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    assert len(lines) > 10 and not [line for line in lines if line not in PAGE]


def test_units():
    assert [scale.human(n) for n in (0, 999, 1_655, 1.65e9, 4e15)] == ['0 B', '999 B', '1.66 kB', '1.65 GB', '4,000 TB']
