"""Maps of other channels and another resolution, against the sums written out in float64."""

import pytest
import torch

from shake_mm.connectors import ProjectMap
from shake_mm.errors import UsageError

from ..losses.test_pixel_kl import enlarge


def test_a_matrix_at_every_place_then_interpolation():
    connector = ProjectMap((3, 4, 4), (5, 8, 6)).double()
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    weight, bias = connector.conv.weight[:, :, 0, 0], connector.conv.bias
    projected = torch.einsum('oc,nchw->nohw', weight, x) + bias[:, None, None]
    wanted = torch.from_numpy(enlarge(projected.detach().numpy(), (8, 6), False))
    torch.testing.assert_close(connector(x), wanted)


def test_gradients():
    connector = ProjectMap((2, 3, 3), (3, 2, 4)).double()
    x = torch.randn(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(connector, x)


def test_what_is_no_map_is_refused():
    with pytest.raises(UsageError, match='tap layers that make maps'):
        ProjectMap((6, 8), (5, 4, 4))
