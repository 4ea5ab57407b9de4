"""Maps of another resolution, against interpolation written out in float64."""

import pytest
import torch

from shake_mm.connectors import ResizeMap
from shake_mm.errors import UsageError

from ..losses.test_pixel_kl import enlarge


@pytest.mark.parametrize('align', [False, True])
def test_enlarged_as_by_hand(align):
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    found = ResizeMap((3, 4, 5), (8, 8, 15), align)(x)
    torch.testing.assert_close(found, torch.from_numpy(enlarge(x.numpy(), (8, 15), align)))


def test_the_ratio_stays_where_images_are_of_another_size():
    connector = ResizeMap((3, 8, 8), (5, 4, 16))
    assert connector(torch.zeros(1, 3, 12, 20)).shape == (1, 3, 6, 40)
    assert connector(torch.zeros(1, 3, 1, 1)).shape == (1, 3, 1, 2)


def test_equal_sizes_pass_unchanged_and_gradients_add_up():
    x = torch.randn(1, 2, 4, 4)
    assert ResizeMap((2, 8, 8), (9, 8, 8))(x) is x
    x = torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(ResizeMap((2, 4, 4), (2, 8, 6)), x)


def test_what_is_no_map_is_refused():
    with pytest.raises(UsageError, match='ResizeMap: .*tap layers that make maps'):
        ResizeMap((6,), (5, 4, 4))
