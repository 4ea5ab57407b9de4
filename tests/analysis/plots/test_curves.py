import pytest

from analysis.plots.curves import draw_comparison
from shake_mm.grid import Scalars


@pytest.mark.parametrize('seeds', [1, 2])
def test_draws_a_image(tmp_path, seeds):
    def run(shift):
        return Scalars([], [{'step': e, 'accuracy/top1': 10.0 * e + shift, 'gap/teacher': 1.0 + shift} for e in (1, 2)])

    draw_comparison({n: [run(i) for i in range(seeds)] for n in ('KD', 'SHAKE')}, tmp_path / 'a.png', 30.0, 'title')
    assert (tmp_path / 'a.png').read_bytes().startswith(b'\x89PNG')
